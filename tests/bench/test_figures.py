from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Figure, Results, percentile, summary

_SAMPLES = st.lists(st.floats(0, 1e9), min_size=1)


def test_summary() -> None:
    """Several samples are told by their median, least and greatest."""
    told = summary([3.0, 1.0, 2.0, 10.0])

    assert (2.5, 1.0, 10.0, 4) == (told.median, told.low, told.high, told.count)


def test_summary_of_nothing() -> None:
    """Without samples there is no summary, rather than a zero."""
    with pytest.raises(ValueError, match="without samples"):
        summary([])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_percentile_of_a_hundred(share: float, expected: int) -> None:
    """Of the numbers 1 to 100 the percentile is the rank itself."""
    assert expected == percentile(list(range(1, 101)), share)


@given(_SAMPLES, st.floats(0, 1))
def test_percentile_is_a_sample(samples: list[float], share: float) -> None:
    """A percentile is one of the samples, and at least its share of them are not above it."""
    found = percentile(samples, share)

    assert found in samples
    assert sum(sample <= found for sample in samples) >= share * len(samples) - 1e-6


def test_percentile_of_nothing() -> None:
    """Without samples there is no percentile, rather than a zero."""
    with pytest.raises(ValueError, match="no percentile"):
        percentile([], 0.5)


def test_results_keep_order() -> None:
    """Figures and candidates stay in the order in which they first came, and every sample is kept."""
    results = Results()
    results.add(Figure("plain", "p50", "ms"), "direct", 1.0)
    results.add(Figure("plain", "p50", "ms"), "orgate", 3.0)
    results.add(Figure("plain", "p50", "ms"), "direct", 2.0)
    results.add(Figure("start", "ready", "s"), "nginx", 0.1)

    assert ["direct", "orgate", "nginx"] == results.candidates()
    assert [1.5, 3.0] == [taken.median for taken in dict(results.summaries())[Figure("plain", "p50", "ms")].values()]


def test_troubles_once() -> None:
    """The same trouble in every repeat is told once."""
    results = Results()

    results.trouble("it fell over")
    results.trouble("it fell over")

    assert ["it fell over"] == results.troubles
