from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.adapters.gauges import EVERYTHING, BudgetLeft, Readings
from app.adapters.metrics import MetricsSink
from app.core.errors import Unavailable
from app.core.ledger import Sums
from tests.adapters.calls import attempt, report

DOLLAR = 10**9
KEY = "sk-or-v1-canary0123456789"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def sink() -> MetricsSink:
    return MetricsSink("1.2.3")


def samples(sink: MetricsSink, name: str) -> Samples:
    """The samples of one name, by the values of their labels in the labels' alphabetical order."""
    families = text_string_to_metric_families(sink.exposition()[1].decode())
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def test_a_call(sink: MetricsSink) -> None:
    """A call is counted with its tokens under the model that answered, and timed under its kind."""
    sink.call_ended(report())

    kind = ("/chat/completions", "true")
    assert {("editor", "openai/gpt-4-0613", "OpenAI", "200"): 1} == samples(sink, "orgate_requests_total")
    assert {"prompt": 30, "completion": 40, "cached": 10, "reasoning": 20} == {
        labels[2]: value for labels, value in samples(sink, "orgate_tokens_total").items()
    }
    assert {kind: 1.5} == samples(sink, "orgate_request_duration_seconds_sum")
    assert {kind: 0.25} == samples(sink, "orgate_time_to_first_content_seconds_sum")
    assert {(): 0.002} == samples(sink, "orgate_overhead_seconds_sum")
    assert {("openai/gpt-4", "answered"): 1} == samples(sink, "orgate_attempts_total")


def test_a_call_without_an_answer(sink: MetricsSink) -> None:
    """A call that failed is counted and timed under the model it asked for; what never came is not timed."""
    failed = report(
        status=504,
        outcome="upstream_silent",
        served_model=None,
        provider=None,
        usage=None,
        first_byte_s=None,
        overhead_s=None,
        attempts=(attempt(reason="upstream_silent", status=504),),
    )
    sink.call_ended(failed)

    assert {("editor", "openai/gpt-4", "", "504"): 1} == samples(sink, "orgate_requests_total")
    assert {("openai/gpt-4", "upstream_silent"): 1} == samples(sink, "orgate_attempts_total")
    assert {} == samples(sink, "orgate_time_to_first_content_seconds_count")
    assert {(): 0} == samples(sink, "orgate_overhead_seconds_count")
    assert {} == samples(sink, "orgate_tokens_total")


def test_retries_and_fallbacks(sink: MetricsSink) -> None:
    """Asking a model again is a retry of it, asking the next one is a fallback."""
    tried = [attempt("a/x", "rate_limit", 429), attempt("a/x", "rate_limit", 429), attempt("b/y", "empty_answer", 502)]
    sink.call_ended(report(attempts=(*tried, attempt("c/z"))))

    assert {("a/x",): 1} == samples(sink, "orgate_retries_total")
    assert {(): 2} == samples(sink, "orgate_fallbacks_total")
    assert 2 == samples(sink, "orgate_attempts_total")["a/x", "rate_limit"]


def test_retries_among_the_nameless(sink: MetricsSink) -> None:
    """Two models that share the label "other" are still two."""
    sink.call_ended(report(attempts=(attempt("one thing", "x"), attempt("another thing", "x"))))

    assert {} == samples(sink, "orgate_retries_total")
    assert {(): 1} == samples(sink, "orgate_fallbacks_total")


def test_cost_is_counted_when_it_is_settled(sink: MetricsSink) -> None:
    """The answer's own cost is not counted, the settled one is, and the sum is exact."""
    sink.call_ended(report())
    for _ in range(10):
        sink.settled("editor", "openai/gpt-4", DOLLAR // 10)
    sink.settled("editor", "openai/gpt-4", 0)

    assert {("editor", "openai/gpt-4"): 1.0} == samples(sink, "orgate_cost_dollars_total")


def test_cost_after_a_restart(sink: MetricsSink) -> None:
    """The counter goes on from what was spent before the start, for each app and model."""
    sink.restore([("editor", "openai/gpt-4", 7 * DOLLAR), ("shell", "openai/gpt-4", DOLLAR // 2)])
    sink.settled("editor", "openai/gpt-4", DOLLAR)

    assert {("editor", "openai/gpt-4"): 8, ("shell", "openai/gpt-4"): 0.5} == samples(sink, "orgate_cost_dollars_total")


def test_warnings_and_failures(sink: MetricsSink) -> None:
    """Warnings and our own failures are counted by event; notes and details are not."""
    sink.warn("credits.low", below="5")
    sink.broke("web.broke", ValueError(KEY), path="/x")
    sink.note("credits.status")
    sink.debug("relay.sent")

    assert {("credits.low",): 1} == samples(sink, "orgate_warnings_total")
    assert {("web.broke",): 1} == samples(sink, "orgate_failures_total")


def test_build(sink: MetricsSink) -> None:
    """The version that runs is told."""
    assert {("1.2.3",): 1} == samples(sink, "orgate_build_info")


def test_gauges(sink: MetricsSink) -> None:
    """What is read at each scrape is told in dollars, hours and calls."""
    sink.watch(
        Readings(
            in_flight=lambda: 3,
            balance=lambda: -DOLLAR // 2,
            key_limit_remaining=lambda: 6_830_000_000,
            sums=lambda: Sums(settled=9 * DOLLAR, held=3 * DOLLAR, unsettled=2 * DOLLAR, outside=DOLLAR),
            budgets=lambda: [
                BudgetLeft("editor", "day", 5 * DOLLAR, 5400.0),
                BudgetLeft("editor", "total", 0, None),
            ],
            open_breakers=lambda: ["openai/gpt-4", EVERYTHING],
        )
    )

    assert {(): 3} == samples(sink, "orgate_requests_in_flight")
    assert [-0.5, 6.83, 3, 2, 1] == [
        samples(sink, f"orgate_{name}_dollars")[()]
        for name in ("balance", "key_limit_remaining", "held", "unsettled", "outside")
    ]
    assert {("editor", "day"): 5, ("editor", "total"): 0} == samples(sink, "orgate_budget_remaining_dollars")
    assert {("editor", "day"): 1.5} == samples(sink, "orgate_budget_reset_hours")
    assert {("openai/gpt-4",): 1, ("(everything)",): 1} == samples(sink, "orgate_breaker_open")


GAUGES = ("requests_in_flight", "balance_dollars", "held_dollars", "budget_remaining_dollars", "breaker_open")


def test_unknown_gauges(sink: MetricsSink) -> None:
    """What is not known has no sample; a zero is told as one."""
    assert [{}] * len(GAUGES) == [samples(sink, f"orgate_{name}") for name in GAUGES]

    sink.watch(Readings(balance=lambda: 0))

    assert {(): 0} == samples(sink, "orgate_balance_dollars")


def test_readings_that_fail(sink: MetricsSink) -> None:
    """A reading that fails takes no other with it; one that nobody foresaw is counted as a failure of ours."""

    def no_key() -> int:
        raise Unavailable("There is no key.")

    def wrong() -> int:
        raise KeyError("x")

    sink.watch(Readings(in_flight=wrong, balance=no_key, key_limit_remaining=lambda: DOLLAR))

    assert {} == samples(sink, "orgate_balance_dollars") == samples(sink, "orgate_requests_in_flight")
    assert {(): 1} == samples(sink, "orgate_key_limit_remaining_dollars")
    assert {("metrics.reading_broke",): 3} == samples(sink, "orgate_failures_total")


def test_invented_models(sink: MetricsSink) -> None:
    """An app that invents models fills half of the 500 places; models that answered still get one, up to the 500."""
    for number in range(1000):
        sink.call_ended(
            report(served_model=None, outcome="not_found", status=404, model=f"made/up-{number}", attempts=())
        )
    for number in range(1000):
        sink.call_ended(report(served_model=f"real/model-{number}", attempts=()))

    models = {model for _, model, *_ in samples(sink, "orgate_requests_total")}
    assert 501 == len(models)
    assert 250 == sum(model.startswith("made/") for model in models)
    assert "other" in models


@pytest.mark.parametrize(
    "text", ["what do you know of me?", "x" * 300, "a\nb", KEY, f"a/{KEY}", TOKEN, f"a/{TOKEN}", ""]
)
def test_no_text_in_a_label(sink: MetricsSink, text: str) -> None:
    """What an app calls a model, or OpenRouter a provider or a code, is a label only when it has the form of one."""
    failed = report(
        model=text,
        served_model=None,
        status=400,
        outcome=text,
        provider=f"{text}\n",
        attempts=(attempt(text, reason=f"{text}!", status=400),),
    )
    sink.call_ended(failed)
    sink.watch(Readings(open_breakers=lambda: [text]))

    assert {("editor", "other", "other", "400"): 1} == samples(sink, "orgate_requests_total")
    assert {("other", "other"): 1} == samples(sink, "orgate_attempts_total")
    assert {("other",): 1} == samples(sink, "orgate_breaker_open")


def test_two_sinks() -> None:
    """Each sink counts for itself."""
    one, other = MetricsSink("1"), MetricsSink("1")
    one.call_ended(report())

    assert {} == samples(other, "orgate_requests_total")
