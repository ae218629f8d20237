from __future__ import annotations

import pytest

from tests.bench.figures import Figure, Results, Summary
from tests.bench.table import as_json, number, render, told


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.0321, "0.032"),
        (0.5, "0.50"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (100_800, "100 800"),
    ],
)
def test_number(value: float, expected: str) -> None:
    """Figures have about three digits that count, and thousands apart."""
    assert expected == number(value)


def test_range_only_of_different_ones() -> None:
    """A figure that was the same every time has no range beside it."""
    assert "1.50 (1–2)" == told(Summary(1.5, 1.0, 2.0, 2))
    assert "1.50" == told(Summary(1.5, 1.5, 1.5, 3))


def test_render() -> None:
    """One line per figure, one column per candidate, and a dash where nothing was measured."""
    assert [
        "|                | direct | orgate     |",
        "|----------------|--------|------------|",
        "| plain: p50, ms | 0.50   | 1.50 (1–2) |",
        "| streams: held  | –      | 10         |",
    ] == render(_results()).splitlines()


def test_json_has_every_sample() -> None:
    """The JSON keeps every sample, with the conditions and the troubles."""
    found = as_json(_results(), {"cores": 2})

    assert {"cores": 2} == found["conditions"]
    assert ["nginx fell over"] == found["troubles"]
    assert [1.0, 2.0] == found["figures"][0]["candidates"]["orgate"]["samples"]
    assert 1.5 == found["figures"][0]["candidates"]["orgate"]["median"]


def _results() -> Results:
    results = Results()
    results.add(Figure("plain", "p50", "ms"), "direct", 0.5)
    results.add(Figure("plain", "p50", "ms"), "orgate", 1.0)
    results.add(Figure("plain", "p50", "ms"), "orgate", 2.0)
    results.add(Figure("streams", "held", ""), "orgate", 10)
    results.trouble("nginx fell over")
    return results
