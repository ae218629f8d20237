from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.adapters.ledger import SqlLedger
from app.core.budget import Budget
from app.core.errors import BudgetExceeded
from app.core.ledger import Checkpoint
from tests.adapters.ledger.ledgers import DAY, HOUR, KEY_ID, MIDNIGHT, ambiguous, crash, hold, rows, settled
from tests.services.fakes import FakeClock, Recorder

YEAR = 365 * DAY
LIMIT = 1_000
PERIODS = ("day", "week", "month", "total")
NOON = MIDNIGHT + DAY / 2

Reopen = Callable[[], SqlLedger]


@pytest.fixture(autouse=True)
def noon(clock: FakeClock) -> None:
    """Every test begins at noon of Friday, 15 January 2027."""
    clock.time = NOON


class Restarts:
    """A gateway that may restart between any two things."""

    def __init__(self, reopen: Reopen, how: str) -> None:
        self._reopen = reopen
        self._how = how
        self._number = 0
        self.ledger = reopen()

    def between(self) -> None:
        """Restart, if that is what this one does."""
        if self._how == "stops":
            self.ledger.stop()
            self.ledger = self._reopen()
        elif self._how == "crashes":
            self.ledger.flush()
            let_go = crash(self.ledger)
            self.ledger = self._reopen()
            let_go()

    def spends(self, period: str, amount: int) -> bool:
        """Whether so much could be spent under a budget of this period."""
        self._number += 1
        name = f"{self._number}:1"
        try:
            self.ledger.reserve(hold(name, amount), [Budget(period, LIMIT)])
        except BudgetExceeded:
            return False
        self.ledger.close(settled(name, amount))
        self.between()
        return True


@pytest.fixture(params=["goes on", "stops", "crashes"])
def gateway(reopen: Reopen, request: pytest.FixtureRequest) -> Restarts:
    """Nothing here may depend on what is in memory."""
    return Restarts(reopen, request.param)


@pytest.mark.parametrize("period", PERIODS)
def test_an_hour_back_over_midnight(gateway: Restarts, clock: FakeClock, period: str) -> None:
    """What was spent just after midnight is still spent when the clock shows yesterday again, and after that."""
    clock.time = MIDNIGHT + 10 * 60
    assert gateway.spends(period, LIMIT)

    clock.time -= HOUR
    shut = [gateway.spends(period, 1)]
    for _ in range(2):
        clock.time += HOUR
        shut.append(gateway.spends(period, 1))

    assert [False] * 3 == shut


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("back", [60.0, HOUR, DAY], ids=["a minute", "an hour", "a day"])
def test_back_and_forth(gateway: Restarts, clock: FakeClock, period: str, back: float) -> None:
    """However often a clock goes back and forth, one budget is spent once."""
    spent = LIMIT // 4 * gateway.spends(period, LIMIT // 4)
    for _ in range(6):
        for step in (-back, back / 2, back / 2):
            clock.time += step
            spent += LIMIT // 4 * gateway.spends(period, LIMIT // 4)

    assert LIMIT == spent


@pytest.mark.parametrize("period", PERIODS)
def test_a_year_ahead_and_back(gateway: Restarts, clock: FakeClock, period: str) -> None:
    """What was spent before the clock went ahead, and what was spent meanwhile, is spent when it is right again."""
    assert gateway.spends(period, LIMIT - 10)
    clock.time += YEAR
    ahead = gateway.spends(period, 10)
    clock.time -= YEAR - 60

    assert ahead
    assert not gateway.spends(period, 1)


@pytest.mark.parametrize("period", PERIODS)
def test_spent_a_year_ahead(gateway: Restarts, clock: FakeClock, period: str) -> None:
    """What was spent while the clock was ahead alone fills the budget of the day it comes back to."""
    assert gateway.spends(period, 1)
    clock.time += YEAR
    assert gateway.spends(period, LIMIT - 1)
    clock.time -= YEAR

    assert not gateway.spends(period, 1)


@pytest.mark.parametrize(("period", "wait"), [("day", DAY), ("week", 7 * DAY), ("month", 31 * DAY)])
def test_new_days_after_a_year_ahead(gateway: Restarts, clock: FakeClock, period: str, wait: float) -> None:
    """Once the clock is right again, the next true day, week or month has a budget of its own: once."""
    clock.time += YEAR
    assert gateway.spends(period, LIMIT)
    clock.time -= YEAR
    assert not gateway.spends(period, 1)

    clock.time += wait
    assert gateway.spends(period, LIMIT)
    assert not gateway.spends(period, 1)
    clock.time += wait

    assert gateway.spends(period, LIMIT)


def test_holds_from_ahead(gateway: Restarts, clock: FakeClock) -> None:
    """A hold that was taken while the clock was ahead burdens the day that it comes back to, and so does its cost."""
    clock.time += YEAR
    gateway.ledger.reserve(hold("ahead:1", LIMIT), [Budget("day", LIMIT)])
    gateway.between()
    clock.time -= YEAR
    assert not gateway.spends("day", 1)

    gateway.ledger.close(settled("ahead:1", LIMIT - 10))

    assert gateway.spends("day", 10)
    assert not gateway.spends("day", 1)
    clock.time += DAY
    assert gateway.spends("day", LIMIT)


@pytest.mark.parametrize("wrong", [0.0, 1_577_836_800.0], ids=["1970", "2020"])
def test_no_clock_at_the_start(gateway: Restarts, clock: FakeClock, wrong: float, path: Path) -> None:
    """A machine that wakes up decades ago opens nothing, and its days are told right when it knows the time again."""
    assert gateway.spends("day", LIMIT - 10)
    clock.time = wrong
    assert gateway.spends("day", 10)
    assert not gateway.spends("day", 1)
    clock.time = NOON + HOUR
    assert not gateway.spends("day", 1)

    gateway.ledger.flush()
    assert {"2027-01-15"} == {row.key for row in gateway.ledger.usage("day", 0, 2e9).rows}
    assert [int(NOON * 1000)] * 2 == [row["at"] for row in rows(path)]


def test_days_ago(gateway: Restarts, clock: FakeClock) -> None:
    """A clock that goes back into days of which there is a record is wrong, and rewrites none of them."""
    for _ in range(4):
        assert gateway.spends("day", LIMIT)
        clock.time += DAY * 0.9

    clock.time -= 3 * DAY
    assert not gateway.spends("day", 1)
    clock.time += 3 * DAY

    gateway.ledger.flush()
    days = [row.key for row in gateway.ledger.usage("day", 0, 2e9).rows]
    assert 4 == len(days)


def test_reports_after_a_year_ahead(ledger: SqlLedger, clock: FakeClock, path: Path, events: Recorder) -> None:
    """Reports hold what was spent meanwhile under the day that it was, added to what is there, and the owner hears."""
    for name, ahead in (("a", 0.0), ("b", YEAR), ("c", YEAR + DAY), ("d", YEAR)):
        clock.time = NOON + ahead
        ledger.reserve(hold(f"{name}:1", 10), [])
        ledger.close(settled(f"{name}:1", 10))
    ledger.reconciled(KEY_ID, Checkpoint(clock.time, 1, None, 2, 3), 7, "key")

    clock.time = NOON + 60
    ledger.reserve(hold("e:1", 10), [])
    ledger.close(settled("e:1", 10))
    ledger.flush()

    (row,) = ledger.usage("day", NOON - DAY, NOON + HOUR).rows
    assert ("2027-01-15", 5, 5, 50) == (row.key, row.calls, row.attempts, row.cost)
    assert (50, 7) == (ledger.sums().settled, ledger.usage("day", 0, NOON + HOUR).sums.outside)
    assert {int(NOON * 1000), int(NOON * 1000) + 60_000} == {each["at"] for each in rows(path)}
    found = ledger.checkpoint(KEY_ID)
    assert found is not None
    assert clock.time == found.at
    assert 50 == ledger.spent_between(NOON - HOUR, NOON + HOUR)
    assert 1 == events.told.count("ledger.clock_was_ahead")


def test_doubt_from_ahead(ledger: SqlLedger, clock: FakeClock) -> None:
    """An attempt in doubt from while the clock was ahead is not a year young for a year."""
    clock.time += YEAR
    ledger.reserve(hold("ahead:1"), [])
    ledger.close(ambiguous("ahead:1"))
    clock.time -= YEAR
    ledger.reserve(hold("now:1"), [])

    assert [NOON, NOON] == [attempt.at for attempt in ledger.open()]


def test_refused_while_ahead(ledger: SqlLedger, clock: FakeClock) -> None:
    """An attempt that was not granted leaves no trace of a wrong clock."""
    clock.time += YEAR
    with pytest.raises(BudgetExceeded):
        ledger.reserve(hold("ahead:1", LIMIT + 1), [Budget("day", LIMIT)])
    clock.time -= YEAR

    ledger.reserve(hold("now:1", LIMIT), [Budget("day", LIMIT)])

    assert [NOON] == [attempt.at for attempt in ledger.open()]
