from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.balance import Figures, KeyFigures, combine, pack, unpack
from app.core.meter import parse
from app.core.money import NANO
from tests.core.quick import quick

DATA = Path(__file__).parents[1] / "data"
EXAMPLES = parse((DATA / "documented_examples.json").read_bytes())
CREDITS = EXAMPLES["GET /credits 200 (documented example)"]
KEY = EXAMPLES["GET /key 200 (documented example, 2026-08-22 spec)"]
REFUSED = {"error": {"code": 403, "message": "Only management keys can perform this operation"}}
ZEROS = {"data": {"total_credits": 0, "total_usage": 0}}

KEY_FIGURES = KeyFigures(
    label="sk-or-v1-au7...890",
    used=25_500_000_000,
    limit=100 * NANO,
    limit_remaining=74_500_000_000,
    limit_reset="monthly",
    is_free_tier=False,
    rate_limit={"requests": 1000, "interval": "1h"},
)
NO_FIGURES = KeyFigures(None, None, None, None, None, None, None)

money = st.none() | st.integers(-(10**18), 10**18)
key_figures = st.builds(
    KeyFigures,
    label=st.none() | st.text(max_size=5),
    used=money,
    limit=money,
    limit_remaining=money,
    limit_reset=st.none() | st.just("daily"),
    is_free_tier=st.none() | st.booleans(),
    rate_limit=st.none() | st.just({"requests": -1, "interval": "10s"}),
    free_requests=st.none() | st.just({"used": 3, "limit": 50, "remaining": 47}),
)
figures = st.builds(Figures, st.sampled_from(["credits", "key"]), money, money, st.none() | key_figures)


@pytest.mark.parametrize(
    ("credits_answer", "key_answer", "known"),
    [
        pytest.param(CREDITS, KEY, Figures("credits", 100_500_000_000, 25_750_000_000, KEY_FIGURES), id="both"),
        pytest.param(CREDITS, None, Figures("credits", 100_500_000_000, 25_750_000_000, None), id="credits alone"),
        pytest.param(None, KEY, Figures("key", None, None, KEY_FIGURES), id="key alone"),
        pytest.param(REFUSED, KEY, Figures("key", None, None, KEY_FIGURES), id="credits refused"),
        pytest.param(ZEROS, KEY, Figures("key", None, None, KEY_FIGURES), id="zeros of an ordinary key"),
        pytest.param(ZEROS, None, None, id="zeros alone"),
        pytest.param(None, None, None, id="neither"),
        pytest.param(REFUSED, REFUSED, None, id="both refused"),
        pytest.param({"data": None}, {"data": []}, None, id="data of other types"),
        pytest.param("text", [1], None, id="answers of other types"),
        pytest.param({"data": {"total_credits": 5}}, None, None, id="total without usage"),
        pytest.param({"data": {"total_credits": 5, "total_usage": "?"}}, None, None, id="usage a word"),
        pytest.param(
            {"data": {"total_credits": 0, "total_usage": 2}},
            None,
            Figures("credits", 0, 2 * NANO, None),
            id="overdrawn",
        ),
        pytest.param(
            {"data": {"total_credits": 5, "total_usage": 0}}, None, Figures("credits", 5 * NANO, 0, None), id="unspent"
        ),
        pytest.param(None, {"data": {"limit": 5}}, None, id="key without label and usage"),
        pytest.param(
            None,
            {"data": {"label": None, "limit": None}},
            Figures("key", None, None, NO_FIGURES),
            id="key that says little",
        ),
        pytest.param(
            None,
            {"data": {"usage": 1, "is_free_tier": "no", "rate_limit": {"requests": "x", "interval": 5}, "label": 7}},
            Figures("key", None, None, replace(NO_FIGURES, used=NANO, rate_limit={"requests": None, "interval": None})),
            id="key with fields of other types",
        ),
    ],
)
def test_combine(credits_answer: Any, key_answer: Any, known: Figures | None) -> None:
    """What the two answers say becomes one account of the money; what neither says is None, never 0."""
    assert known == combine(credits_answer, key_answer)


@pytest.mark.parametrize(
    ("told", "known"),
    [
        pytest.param({"used": 3, "limit": 50, "remaining": 47}, {"used": 3, "limit": 50, "remaining": 47}, id="all"),
        pytest.param({"used": 3, "reset": "x"}, {"used": 3, "limit": None, "remaining": None}, id="one of three"),
        pytest.param({"used": True, "limit": -1, "remaining": "47"}, None, id="no numbers"),
        pytest.param({}, None, id="empty"),
        pytest.param([3, 50], None, id="another type"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_free_requests(told: Any, known: Any) -> None:
    """What is left of the day's free requests is known where OpenRouter tells it."""
    known_figures = combine(None, {"data": {"usage": 1, "free_model_daily_requests": told}})

    assert known_figures is not None
    assert known_figures.key is not None
    assert known == known_figures.key.free_requests


def test_kept_by_an_older_gateway() -> None:
    """Figures that were kept before free requests were known are still good."""
    kept = pack(Figures("key", None, None, KEY_FIGURES))
    del kept["key"]["free_requests"]

    assert Figures("key", None, None, KEY_FIGURES) == unpack(kept)


def test_recorded_zeros() -> None:
    """The recorded /credits answer to an ordinary key of a funded account is no empty balance."""
    entries = json.loads((DATA / "error_bodies.json").read_bytes())
    (zeros,) = (entry["body"] for entry in entries if entry["status"] == 200 and "all zeros" in entry["what"])
    known = combine(zeros, KEY)

    assert known is not None
    assert known.remaining is None
    assert not known.exhausted


@pytest.mark.parametrize(
    ("figures", "remaining", "exhausted"),
    [
        pytest.param(Figures("credits", 5, 2, None), 3, False, id="some left"),
        pytest.param(Figures("credits", 5, 5, None), 0, True, id="nothing left"),
        pytest.param(Figures("credits", 5, 7, None), -2, True, id="overdrawn"),
        pytest.param(Figures("key", None, None, None), None, False, id="unknown"),
        pytest.param(Figures("key", None, 5, NO_FIGURES), None, False, id="total unknown"),
        pytest.param(Figures("key", None, None, KEY_FIGURES), None, False, id="key may spend"),
        pytest.param(
            Figures("key", None, None, replace(KEY_FIGURES, limit_remaining=0)), None, True, id="key may not spend"
        ),
        pytest.param(
            Figures("credits", 5, 2, replace(KEY_FIGURES, limit_remaining=0)), 3, True, id="money, but not for the key"
        ),
        pytest.param(Figures("credits", 5, 5, KEY_FIGURES), 0, True, id="a cap, but no money"),
    ],
)
def test_remaining(figures: Figures, remaining: int | None, exhausted: bool) -> None:
    """What is left is the account's balance, never the key's cap; exhausted is said only for certain."""
    assert remaining == figures.remaining
    assert exhausted is figures.exhausted


def test_after() -> None:
    """What was spent since is added to what is used and taken from what the key may still spend."""
    before = Figures("credits", 100, 10, replace(KEY_FIGURES, used=4, limit_remaining=50))
    after = before.after(7)

    assert Figures("credits", 100, 17, replace(KEY_FIGURES, used=11, limit_remaining=43)) == after
    assert 83 == after.remaining
    assert Figures("credits", 100, 10, replace(KEY_FIGURES, used=4, limit_remaining=50)) == before


@given(figures, st.integers(0, 10**12), st.integers(0, 10**12))
@quick
def test_after_in_steps(figures: Figures, first: int, second: int) -> None:
    """Spending in steps and at once come to the same, and what was unknown stays unknown."""
    after = figures.after(first).after(second)

    assert figures.after(first + second) == after
    assert (figures.remaining is None) == (after.remaining is None)
    assert figures.remaining is None or figures.remaining - first - second == after.remaining


@given(figures)
@quick
def test_pack(figures: Figures) -> None:
    """Figures that were kept as JSON come back as they were."""
    assert figures == unpack(json.loads(json.dumps(pack(figures))))
