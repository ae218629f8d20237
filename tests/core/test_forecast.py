from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.forecast import DAY_S, HOUR_S, WINDOWS, Forecast, about, forecast
from app.core.money import NANO
from tests.core.quick import quick

NOW = 1_795_000_000.0


def spent(hour: float = 0, day: float = 0, week: float = 0) -> dict[str, int]:
    """Dollars spent in each window."""
    return {name: int(amount * NANO) for name, amount in zip(WINDOWS, (hour, day, week), strict=True)}


def seen(amounts: dict[str, int], hours: float, remaining: float | None = 10) -> Forecast:
    """The forecast after so many hours on record, with so many dollars left."""
    return forecast(amounts, NOW - hours * HOUR_S, NOW, None if remaining is None else int(remaining * NANO))


@pytest.mark.parametrize(
    ("hours", "known"),
    [(0.49, ""), (0.5, "1h"), (11.9, "1h"), (12, "1h 24h"), (83.9, "1h 24h"), (84, "1h 24h 7d"), (1000, "1h 24h 7d")],
)
def test_history(hours: float, known: str) -> None:
    """The pace over a window is told once half of the window is on record."""
    found = seen(spent(1, 1, 1), hours)

    assert known.split() == [name for name, pace in found.per_hour.items() if pace is not None]


def test_pace() -> None:
    """The pace is what was spent an hour, over the part of the window that is on record."""
    assert {"1h": 2 * NANO, "24h": NANO, "7d": NANO // 4} == seen(spent(2, 24, 42), 1000).per_hour
    assert NANO == seen(spent(0, 15, 15), 15).per_hour["24h"]


@pytest.mark.parametrize(
    ("amounts", "hours", "left_h"),
    [
        pytest.param(spent(5, 24, 24), 1000, 10, id="by the day"),
        pytest.param(spent(5, 5, 5), 1, 2, id="by the hour while the day is not known"),
        pytest.param(spent(0, 24, 24), 1000, 10, id="by the day although this hour is quiet"),
    ],
)
def test_end(amounts: dict[str, int], hours: float, left_h: float) -> None:
    """The money ends when the last day's pace has used it up, or the last hour's as long as that is all there is."""
    found = seen(amounts, hours)

    assert NOW + left_h * HOUR_S == found.ends_at
    assert found.reason is None


@pytest.mark.parametrize(
    ("amounts", "hours", "remaining", "reason"),
    [
        pytest.param(spent(1, 1, 1), 0.1, 10, "not_enough_data", id="short record"),
        pytest.param(spent(1, 0, 0), 1000, 10, "nothing_spent", id="nothing in the day"),
        pytest.param(spent(0, 1e-8, 0), 1000, 1000, "nothing_spent", id="lasts for ages"),
        pytest.param(spent(1, 1, 1), 1000, None, "balance_unknown", id="unknown"),
        pytest.param(spent(1, 1, 1), 1000, 0, "spent", id="gone"),
        pytest.param(spent(1, 1, 1), 1000, -1, "spent", id="overdrawn"),
    ],
)
def test_no_end(amounts: dict[str, int], hours: float, remaining: float | None, reason: str) -> None:
    """Where no moment can be told, the reason is."""
    found = seen(amounts, hours, remaining)

    assert (None, reason) == (found.ends_at, found.reason)


def test_no_record() -> None:
    """Before anything was sent, and with a record that begins in the future, nothing is told."""
    for began_at in (None, NOW + DAY_S):
        found = forecast(spent(1, 1, 1), began_at, NOW, NANO)

        assert {None} == set(found.per_hour.values())
        assert (None, "not_enough_data", None) == (found.ends_at, found.reason, found.unusual)


@pytest.mark.parametrize(
    ("amounts", "hours", "unusual"),
    [
        pytest.param(spent(0.51, 1, 16.8), 1000, True, id="over five times and over half a dollar"),
        pytest.param(spent(0.5, 1, 1), 1000, False, id="half a dollar"),
        pytest.param(spent(5, 20, 168), 1000, False, id="five times"),
        pytest.param(spent(100, 100, 100), 80, None, id="no week on record"),
    ],
)
def test_unusual(amounts: dict[str, int], hours: float, unusual: bool | None) -> None:
    """An hour that costs far more than the week's usual is told apart, as long as the usual is known."""
    assert unusual is seen(amounts, hours).unusual


@given(
    st.fixed_dictionaries({name: st.integers(0, 10**18) for name in WINDOWS}),
    st.none() | st.floats(0, NOW * 2),
    st.none() | st.integers(-(10**18), 10**18),
)
@quick
def test_always_an_end_or_a_reason(amounts: dict[str, int], began_at: float | None, remaining: int | None) -> None:
    """There is either a moment in the next hundred years or a reason, never both."""
    found = forecast(amounts, began_at, NOW, remaining)

    assert (found.ends_at is None) == (found.reason is not None)
    assert found.ends_at is None or NOW <= found.ends_at <= NOW + 100 * 365 * DAY_S


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "about a minute"),
        (89, "about a minute"),
        (90, "about 2 minutes"),
        (5399, "about 90 minutes"),
        (5400, "about 2 hours"),
        (31 * HOUR_S, "about 31 hours"),
        (36 * HOUR_S, "about 2 days"),
        (6 * DAY_S, "about 6 days"),
        (59 * DAY_S, "about 59 days"),
        (60 * DAY_S, "about 2 months"),
        (729 * DAY_S, "about 24 months"),
        (730 * DAY_S, "about 2 years"),
    ],
)
def test_about(seconds: float, words: str) -> None:
    """A stretch of time is told in one unit that fits it."""
    assert words == about(seconds)
