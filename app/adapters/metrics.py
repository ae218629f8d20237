"""The Events port as Prometheus metrics: counts what happens, reads the rest when it is asked."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from app.adapters import labels
from app.adapters.gauges import Gauges, Readings
from app.adapters.labels import Names
from app.adapters.processes import Processes
from app.core.calls import CallReport
from app.core.meter import Usage
from app.core.money import NANO

_MODELS = 500
_PROVIDERS = 200
_CODES = 200
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30)

_M = TypeVar("_M", Counter, Histogram)


class _Children(Generic[_M]):
    """A metric by the values of its labels; the library's own look-up takes longer."""

    def __init__(self, metric: _M) -> None:
        self._metric: _M = metric
        self._found: dict[tuple[str, ...], _M] = {}

    def of(self, *values: str) -> _M:
        """The child with these labels."""
        child = self._found.get(values)
        if child is None:
            child = self._found[values] = self._metric.labels(*values)
        return child


class Costs(Collector):
    """Dollars spent by app and model, added up exactly."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nanos: defaultdict[tuple[str, str], int] = defaultdict(int)

    def add(self, app: str, model: str, nanos: int) -> None:
        """Count a cost."""
        with self._lock:
            self._nanos[app, model] += nanos

    def collect(self) -> Iterator[Metric]:
        """The counter as of now."""
        family = CounterMetricFamily(
            "orgate_cost_dollars",
            "What OpenRouter charged, once it is settled, since the ledger began.",
            labels=["app", "model"],
        )
        with self._lock:
            costs = list(self._nanos.items())
        for (app, model), nanos in costs:
            family.add_metric([app, model], nanos / NANO)
        yield family


class MetricsSink:
    """
    Every metric of the gateway, in a registry of its own.

    Costs are counted only by `restore` and `settled`: an answer's own figure may still be corrected by OpenRouter.
    """

    def __init__(self, version: str) -> None:
        # They would double the number of series, and tell only when each was born.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._models, self._providers, self._codes = Names(_MODELS), Names(_PROVIDERS), Names(_CODES)
        Info("orgate_build", "The version that runs.", registry=registry).info({"version": version})
        self._requests = self._counter("requests", "Calls that are over.", "app", "model", "provider", "status")
        self._duration = self._histogram("request_duration", "From a call's arrival to its end.")
        self._first_content = self._histogram(
            "time_to_first_content", "From a call's arrival to the first content for the app; plain answers come whole."
        )
        self._overhead = Histogram(
            "orgate_overhead_seconds",
            "From a call's arrival to the first content, less the time spent waiting for OpenRouter's answers.",
            registry=registry,
            buckets=_OVERHEAD_SECONDS,
        )
        self._tokens = self._counter(
            "tokens",
            "Tokens; cached ones are among the prompt's, reasoning among the completion's.",
            "app",
            "model",
            "type",
        )
        self._attempts = self._counter("attempts", "Attempts for calls that are over.", "model", "outcome")
        self._fallbacks = Counter("orgate_fallbacks", "Moves to another model of a chain.", registry=registry)
        self._retries = self._counter("retries", "Attempts that asked the same model again.", "model")
        self._recalls = self._counter("cache", "Calls that asked for the cache of answers.", "app", "found")
        self._warnings = self._counter("warnings", "Warnings, by the log line's event.", "event")
        self._failures = self._counter("failures", "Failures of orgate itself, by the log line's event.", "event")
        self._costs = Costs()
        self._gauges = Gauges(self._models, lambda: self._failures.of("metrics.reading_broke").inc())
        registry.register(self._costs)
        registry.register(self._gauges)
        self._processes = Processes()
        registry.register(self._processes)

    def watch(self, readings: Readings) -> None:
        """From now on read the gauges here."""
        self._gauges.readings = readings

    def watch_processes(self, others: Callable[[], Sequence[int]]) -> None:
        """From now on tell what this process and those with these ids take of the machine."""
        self._processes.others = others

    def restore(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """Start the cost counter at what the ledger knows, (app, model, nano-dollars): so it never falls."""
        for app, model, nanos in rows:
            self.settled(app, model, nanos)

    def settled(self, app: str, model: str, cost_nanos: int) -> None:
        """Count what an attempt has cost, in nano-dollars: once for each attempt, when it is settled."""
        if cost_nanos > 0:
            self._costs.add(app, self._models.admit(model), cost_nanos)

    def exposition(self) -> tuple[str, bytes]:
        """The content type and the text of all metrics as of now."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def call_ended(self, report: CallReport) -> None:
        """Count a call, its time, its tokens and its attempts."""
        model = self._model_of(report)
        provider = self._providers.admit(report.provider) if report.provider else ""
        kind = (report.endpoint, "true" if report.stream else "false")
        self._requests.of(report.app, model, provider, str(report.status)).inc()
        self._duration.of(*kind).observe(report.duration_s)
        if report.first_byte_s is not None:
            self._first_content.of(*kind).observe(report.first_byte_s)
        if report.overhead_s is not None:
            self._overhead.observe(report.overhead_s)
        if report.usage is not None:
            self._count_tokens(report.app, model, report.usage)
        self._count_attempts(report.attempts)
        if report.recall is not None:
            self._recalls.of(report.app, report.recall.found).inc()

    def note(self, event: str, **facts: object) -> None:
        """Nothing is counted."""

    def warn(self, event: str, **facts: object) -> None:
        """Count a warning."""
        self._warnings.of(event).inc()

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Count a failure of our own."""
        self._failures.of(event).inc()

    def debug(self, event: str, **facts: object) -> None:
        """Nothing is counted."""

    def _model_of(self, report: CallReport) -> str:
        if report.served_model is not None:
            return self._models.admit(report.served_model)
        return self._asked(report.model, answered=report.outcome == "answered")

    def _asked(self, model: str, *, answered: bool) -> str:
        return self._models.admit(model, labels.model, vouched=answered)

    def _count_tokens(self, app: str, model: str, usage: Usage) -> None:
        for type, count in (
            ("prompt", usage.prompt_tokens),
            ("completion", usage.completion_tokens),
            ("cached", usage.cached_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count:
                self._tokens.of(app, model, type).inc(count)

    def _count_attempts(self, attempts: Iterable[Mapping[str, object]]) -> None:
        seen: set[str] = set()
        for attempt in attempts:
            asked, outcome = str(attempt["model"]), self._codes.admit(str(attempt["reason"]), labels.code)
            model = self._asked(asked, answered=outcome == "answered")
            self._attempts.of(model, outcome).inc()
            if asked in seen:
                self._retries.of(model).inc()
            elif seen:
                self._fallbacks.inc()
            seen.add(asked)

    def _counter(self, name: str, help: str, *by: str) -> _Children[Counter]:
        return _Children(Counter(f"orgate_{name}", help, by, registry=self._registry))

    def _histogram(self, name: str, help: str) -> _Children[Histogram]:
        by = ("endpoint", "stream")
        return _Children(Histogram(f"orgate_{name}_seconds", help, by, registry=self._registry, buckets=_SECONDS))
