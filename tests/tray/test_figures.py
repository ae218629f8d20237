from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.quick import quick
from tray import figures
from tray.figures import Unreadable

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
CREDITS: dict[str, Any] = {
    "total_credits": 25,
    "remaining_credits": 17.579794,
    "usage": {"limit": 5, "limit_remaining": 3.25, "limit_reset": "daily"},
    "as_of": "2026-11-22T14:05:00.250+00:00",
    "stale": False,
    "forecast": {"per_hour": {"1h": 0.5, "24h": None}, "ends_at": None, "reason": "not_enough_data", "unusual": False},
    "free_requests": {"used": 2, "limit": 50, "remaining": 48},
}


def test_amounts_are_exact() -> None:
    """An amount is read as it was written, digit for digit."""
    found = figures.credits(figures.decode(json.dumps(CREDITS)))

    assert Decimal("17.579794") == found.remaining
    assert Decimal("3.25") == (found.cap and found.cap.left)
    assert Decimal("0.5") == found.per_hour


@pytest.mark.parametrize("value", [None, True, "", "abc", "NaN", "Infinity", "1e999999", [], {}])
def test_no_amount(value: Any) -> None:
    """What is no amount is unknown, never 0."""
    assert figures.amount(value) is None


def test_marks_of_the_gateway() -> None:
    """Marks that the gateway tells are read largest first; where it tells none, that is known too."""
    told = figures.credits(figures.decode(json.dumps({**CREDITS, "marks": ["1", "5"]})))

    assert (Decimal(5), Decimal(1)) == told.marks
    assert figures.credits(figures.decode(json.dumps(CREDITS))).marks is None


@pytest.mark.parametrize("text", ["", "{", "[1,2", '{"a": NaN}', "[" * 100_000, "<html>"])
def test_no_json(text: str) -> None:
    """What is no JSON is said to be unreadable."""
    with pytest.raises(Unreadable):
        figures.decode(text)


@quick
@given(
    st.sampled_from([figures.credits, figures.usage, figures.health, figures.notice]),
    anything,
    st.sampled_from([None, "usage", "forecast", "as_of", "marks", "free_requests", "data", "budgets", "breakers"]),
)
def test_any_answer(reader: Any, answer: Any, field: str | None) -> None:
    """Whatever answers in the gateway's place, it is read or refused, and breaks nothing."""
    whole = answer if field is None else {**CREDITS, "total_cost": "1", "status": "healthy", "id": 1, field: answer}
    try:
        reader(whole)
    except Unreadable:
        return


def test_names_do_not_steer() -> None:
    """A name with control characters in it is shown without them."""
    told = figures.usage({"total_cost": "1", "data": [{"app": "evil\x1b[2J\n", "cost": "1"}], "budgets": []})

    assert [("evil [2J", Decimal(1))] == list(told.by_app)
