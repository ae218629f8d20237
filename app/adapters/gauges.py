"""The metrics that are not counted but read anew whenever somebody asks; what is not known is left out, never 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.adapters import labels
from app.adapters.labels import Names
from app.core.errors import GatewayError
from app.core.frozen import frozen
from app.core.ledger import Sums
from app.core.money import NANO

EVERYTHING = "(everything)"
"""Stands for a model while nothing is sent at all: the key is refused, or the account is empty."""

_T = TypeVar("_T")


@frozen
class BudgetLeft:
    """Where one budget of an app stands."""

    app: str
    period: str
    """ "day", "week", "month" or "total"."""
    left: int
    """Nano-dollars that are neither spent nor held."""
    resets_in_s: float | None
    """Until the budget is new; None for "total"."""


def _unknown() -> None:
    return None


def _none() -> tuple[()]:
    return ()


@frozen
class Readings:
    """Where each figure is read, in nano-dollars where it is money; None, or a GatewayError, means "not known"."""

    in_flight: Callable[[], int | None] = _unknown
    """Calls that are running."""
    balance: Callable[[], int | None] = _unknown
    """What is left on the account."""
    key_limit_remaining: Callable[[], int | None] = _unknown
    """What the key may still spend; None too when it has no limit."""
    sums: Callable[[], Sums | None] = _unknown
    """The ledger's sums over all apps."""
    budgets: Callable[[], Iterable[BudgetLeft]] = _none
    open_breakers: Callable[[], Iterable[str]] = _none
    """The models that rest, EVERYTHING among them."""


class Gauges(Collector):
    """Reads `readings` at every scrape; `broke` is called when a reading fails in a way that nobody foresaw."""

    def __init__(self, models: Names, broke: Callable[[], None]) -> None:
        self.readings = Readings()
        self._models = models
        self._broke = broke

    def collect(self) -> Iterator[Metric]:
        """The gauges as of now."""
        read, ask = self.readings, self._ask
        yield _gauge("orgate_requests_in_flight", "Calls that are running.", ask(read.in_flight))
        yield _dollars("balance", "What is left on the OpenRouter account.", ask(read.balance))
        yield _dollars("key_limit_remaining", "What the OpenRouter key may still spend.", ask(read.key_limit_remaining))
        yield from _sums(ask(read.sums))
        yield from _budgets(ask(read.budgets) or ())
        yield self._breakers(ask(read.open_breakers) or ())

    def _ask(self, reading: Callable[[], _T]) -> _T | None:
        try:
            return reading()
        except GatewayError:
            return None
        except Exception:
            self._broke()
            return None

    def _breakers(self, resting: Iterable[str]) -> Metric:
        family = GaugeMetricFamily("orgate_breaker_open", "1 for every model that rests.", labels=["model"])
        for model in {self._named(name) for name in resting}:
            family.add_metric([model], 1)
        return family

    def _named(self, model: str) -> str:
        return model if model == EVERYTHING else self._models.admit(model, labels.model, vouched=False)


def _gauge(name: str, help: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, help)
    if value is not None:
        family.add_metric([], value)
    return family


def _dollars(name: str, help: str, nanos: int | None) -> Metric:
    return _gauge(f"orgate_{name}_dollars", help, None if nanos is None else nanos / NANO)


def _sums(sums: Sums | None) -> Iterator[Metric]:
    held, unsettled, outside = (sums.held, sums.unsettled, sums.outside) if sums else (None, None, None)
    yield _dollars("held", "Set aside for attempts whose cost is not known yet.", held)
    yield _dollars("unsettled", "The part of the held dollars whose attempts are over.", unsettled)
    yield _dollars("outside", "Spent on the account by others than this gateway.", outside)


def _budgets(budgets: Iterable[BudgetLeft]) -> Iterator[Metric]:
    by = ["app", "period"]
    remaining = GaugeMetricFamily("orgate_budget_remaining_dollars", "What an app may still spend.", labels=by)
    reset = GaugeMetricFamily("orgate_budget_reset_hours", "Hours until an app's budget is new.", labels=by)
    for budget in {(budget.app, budget.period): budget for budget in budgets}.values():
        remaining.add_metric([budget.app, budget.period], budget.left / NANO)
        if budget.resets_in_s is not None:
            reset.add_metric([budget.app, budget.period], budget.resets_in_s / 3600)
    yield remaining
    yield reset
