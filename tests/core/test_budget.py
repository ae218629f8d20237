from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.budget import PERIODS, Budget, begin_of, check, end_of
from app.core.errors import BudgetExceeded
from app.core.money import NANO
from tests.core.quick import quick

DAY_S = 86_400

periods = st.sampled_from(PERIODS)
moments = st.floats(0, 4e9)
amounts = st.integers(0, 10**15)


def at(text: str) -> float:
    """The moment in a text such as "2027-01-15 08:00:00", in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def does_fit(budget: Budget, settled: int, held: int, wanted: int) -> bool:
    """Whether one more hold of so much is let through."""
    try:
        check(budget, settled=settled, held=held, wanted=wanted, now=1e9)
    except BudgetExceeded:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "period", "limit"),
    [
        ("5/day", "day", 5 * NANO),
        ("$20/week", "week", 20 * NANO),
        ("50.25/month", "month", 50_250_000_000),
        ("200/total", "total", 200 * NANO),
        ("100", "total", 100 * NANO),
        ("$0.000000001", "total", 1),
        ("0/day", "day", 0),
        ("05/day", "day", 5 * NANO),
        (" 5/Day\n", "day", 5 * NANO),
        ("1000000000", "total", 10**9 * NANO),
    ],
)
def test_parse(text: str, period: str, limit: int) -> None:
    """A budget is dollars and a period, in all when none is named."""
    assert Budget(period, limit) == Budget.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/day",
        "much",
        "five/day",
        "5/hour",
        "5/days",
        "5/",
        "5 / day",
        "5/day/week",
        "-5/day",
        "+5/day",
        "$-5",
        "$$5",
        "5$",
        "€5",
        "5,50/day",
        "1,000",
        ".5",
        "5.",
        "1e3",
        "0x10",
        "nan",
        "inf",
        "0.0000000001",
        "1000000001",
        "9" * 400,
        "5/day\n6/day",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_budget(text: str) -> None:
    """What is no budget is refused, with examples of what is."""
    with pytest.raises(ValueError, match="5/day"):
        Budget.parse(text)


@given(st.text(max_size=20) | st.from_regex(r"\$?\d*\.?\d*/?[a-z]*", fullmatch=True))
@quick
def test_parse_anything(text: str) -> None:
    """Any text is a budget of a known period and a bounded sum, or a ValueError."""
    try:
        budget = Budget.parse(text)
    except ValueError:
        return
    assert budget.period in PERIODS
    assert 0 <= budget.limit <= 10**9 * NANO


@given(periods, st.integers(0, 10**9 * NANO))
@quick
def test_told(period: str, limit: int) -> None:
    """A budget as it is told can be given again."""
    budget = Budget(period, limit)

    assert budget == Budget.parse(budget.told())
    assert "5.5/day" == Budget("day", 5_500_000_000).told()


@pytest.mark.parametrize(
    ("period", "now", "begin", "end"),
    [
        pytest.param("day", "2027-01-15 08:00:00", "2027-01-15", "2027-01-16", id="day"),
        pytest.param("day", "2027-01-15 00:00:00", "2027-01-15", "2027-01-16", id="day: first moment"),
        pytest.param("day", "2027-01-15 23:59:59.999", "2027-01-15", "2027-01-16", id="day: last moment"),
        pytest.param("day", "2026-12-31 12:00:00", "2026-12-31", "2027-01-01", id="day: of the year's end"),
        pytest.param("day", "2026-03-29 12:00:00", "2026-03-29", "2026-03-30", id="day: when Europe's clocks change"),
        pytest.param("week", "2027-01-15 08:00:00", "2027-01-11", "2027-01-18", id="week: Friday"),
        pytest.param("week", "2027-01-11 00:00:00", "2027-01-11", "2027-01-18", id="week: Monday's first moment"),
        pytest.param("week", "2027-01-10 23:59:59", "2027-01-04", "2027-01-11", id="week: Sunday's last"),
        pytest.param("week", "2027-01-01 00:00:00", "2026-12-28", "2027-01-04", id="week: over the year's end"),
        pytest.param("week", "2028-02-29 12:00:00", "2028-02-28", "2028-03-06", id="week: over a leap day"),
        pytest.param("month", "2027-01-15 08:00:00", "2027-01-01", "2027-02-01", id="month"),
        pytest.param("month", "2027-01-31 23:59:59", "2027-01-01", "2027-02-01", id="month: last moment"),
        pytest.param("month", "2026-12-31 23:59:59", "2026-12-01", "2027-01-01", id="month: the year's end"),
        pytest.param("month", "2028-02-29 00:00:00", "2028-02-01", "2028-03-01", id="month: leap day"),
    ],
)
def test_periods(period: str, now: str, begin: str, end: str) -> None:
    """Periods are the calendar's in UTC, weeks from Monday, whatever the machine's own time zone."""
    found = end_of(period, at(now))

    assert at(begin) == begin_of(period, at(now)) == Budget(period, 1).since(at(now))
    assert at(end) == found


def test_total() -> None:
    """A total begins with the first attempt ever and never ends."""
    assert (0.0, None) == (begin_of("total", at("2027-01-15")), end_of("total", at("2027-01-15")))


@given(periods, moments)
@quick
def test_every_moment(period: str, now: float) -> None:
    """Every moment lies in one period, which begins and ends at a midnight; its end is the next one's beginning."""
    begin, end = begin_of(period, now), end_of(period, now)

    assert begin <= now
    assert 0 == begin % DAY_S
    if end is not None:
        assert now < end
        assert begin == begin_of(period, end - 0.001)
        assert end == begin_of(period, end)


@pytest.mark.parametrize(
    ("settled", "held", "wanted", "fits"),
    [
        (0, 0, 100, True),
        (0, 0, 101, False),
        (99, 0, 1, True),
        (99, 0, 2, False),
        (0, 99, 1, True),
        (40, 40, 20, True),
        (40, 40, 21, False),
        (100, 0, 1, False),
        (0, 100, 1, False),
        (300, 0, 1, False),
        (100, 0, 0, True),
        (300, 300, 0, True),
    ],
)
def test_check(settled: int, held: int, wanted: int, fits: bool) -> None:
    """Spent, held and wanted together may reach the limit to the nano-dollar; a free call always fits."""
    assert fits is does_fit(Budget("day", 100), settled, held, wanted)


@given(periods, amounts, amounts, amounts, amounts)
@quick
def test_never_above(period: str, limit: int, settled: int, held: int, wanted: int) -> None:
    """A call that may cost something fits exactly when all of it together is within the limit."""
    fits = does_fit(Budget(period, limit), settled, held, wanted)

    assert (wanted == 0 or settled + held + wanted <= limit) == fits


def test_exceeded() -> None:
    """The app is told what is left, what it wanted and when the budget is new; it is a 402 and never a 429."""
    with pytest.raises(BudgetExceeded) as raised:
        check(
            Budget("week", 5 * NANO),
            settled=3_000_000_001,
            held=NANO,
            wanted=2 * NANO,
            now=at("2027-01-15 08:00:00"),
        )
    error = raised.value

    assert (402, "budget_exceeded") == (error.status, error.type)
    assert {
        "period": "week",
        "limit": "5",
        "spent": "3.000000001",
        "held": "1",
        "left": "0.999999999",
        "wanted": "2",
        "resets_at": "2027-01-18T00:00:00Z",
    } == error.details
    for part in ("$5/week", "$0.999999999", "$1 is set aside", "$2", "2027-01-18T00:00:00Z", "max_tokens"):
        assert part in error.message
    assert not error.should_retry


def test_exceeded_in_all() -> None:
    """A total has no day on which it is new, and an overdrawn budget has nothing left, not less."""
    with pytest.raises(BudgetExceeded) as raised:
        check(Budget("total", NANO), settled=3 * NANO, held=0, wanted=1, now=at("2027-01-15"))
    error = raised.value
    assert error.details is not None

    assert ("0", None) == (error.details["left"], error.details["resets_at"])
    assert "new at" not in error.message
    assert "set aside" not in error.message
