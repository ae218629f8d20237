from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.adapters.ledger import SqlLedger
from app.core.budget import PERIODS, Budget, begin_of, end_of
from app.core.errors import BudgetExceeded
from tests.adapters.ledger.ledgers import DAY, MIDNIGHT, close, hold, released, rows, settled
from tests.services.fakes import FakeClock


def dollars(error: BudgetExceeded) -> tuple[object, ...]:
    assert error.details is not None
    return tuple(error.details[name] for name in ("period", "limit", "spent", "held", "left", "wanted", "resets_at"))


def test_budget_exceeded(ledger: SqlLedger, path: Path) -> None:
    """A hold that does not fit is a 402 with what is left and when it is new, and leaves no row."""
    budget = [Budget("day", 10_000_000_000)]
    ledger.reserve(hold("a:1", 4_000_000_000), budget)
    close(ledger, settled("a:1", 3_000_000_000))
    ledger.reserve(hold("b:1", 5_000_000_000), budget)

    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve(hold("c:1", 2_000_000_001), budget)

    assert (402, "budget_exceeded", False) == (caught.value.status, caught.value.code, caught.value.should_retry)
    assert ("day", "10", "3", "5", "2", "2.000000001", "2027-01-16T00:00:00Z") == dollars(caught.value)
    assert "new at 2027-01-16T00:00:00Z" in caught.value.message
    assert {"a:1", "b:1"} == {row["id"] for row in rows(path)}
    ledger.reserve(hold("d:1", 2_000_000_000), budget)


def test_budget_for_good(ledger: SqlLedger) -> None:
    """A budget for everything ever is never new, and says so."""
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve(hold("a:1", 2), [Budget("total", 1)])

    assert "resets_at" in (caught.value.details or {})
    assert ("total", None) == (dollars(caught.value)[0], dollars(caught.value)[-1])


def test_free_call_with_a_spent_budget(ledger: SqlLedger) -> None:
    """A call that can cost nothing fits into any budget."""
    ledger.reserve(hold("a:1", 0), [Budget("day", 0)])

    assert 1 == len(ledger.open())


def test_budgets_of_apps(ledger: SqlLedger) -> None:
    """An app's budget counts that app alone, and every one of its budgets."""
    ledger.reserve(hold("a:1", 10, app="chat"), [Budget("day", 10)])
    ledger.reserve(hold("b:1", 10), [Budget("day", 10), Budget("month", 25)])
    close(ledger, settled("b:1", 5))

    with pytest.raises(BudgetExceeded, match="month"):
        ledger.reserve(hold("c:1", 20), [Budget("day", 30), Budget("month", 20)])

    assert {"a:1"} == {attempt.attempt_id for attempt in ledger.open()}


@pytest.mark.parametrize("released_at", ["settled", "released"])
def test_a_hold_makes_room(ledger: SqlLedger, released_at: str) -> None:
    """Once an attempt is over only its cost counts."""
    budget = [Budget("total", 10)]
    ledger.reserve(hold("a:1", 10), budget)

    close(ledger, settled("a:1", 4) if released_at == "settled" else released("a:1"))

    ledger.reserve(hold("b:1", 6 if released_at == "settled" else 10), budget)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(hold("c:1", 1), budget)


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_budget_is_new(ledger: SqlLedger, clock: FakeClock, period: str) -> None:
    """A spent budget is closed to the last millisecond of its period in UTC, and open at the first of the next."""
    budget = [Budget(period, 10)]
    begin, end = begin_of(period, clock.time), end_of(period, clock.time)
    assert end is not None
    clock.time = begin
    ledger.reserve(hold("a:1", 10), budget)
    close(ledger, settled("a:1", 10))

    for moment in (begin, (begin + end) / 2, end - 0.001):
        clock.time = moment
        with pytest.raises(BudgetExceeded):
            ledger.reserve(hold(f"{moment}:1", 1), budget)
    clock.time = end
    ledger.reserve(hold("b:1", 10), budget)

    assert (0, 10) == ledger.taken("editor", end)
    assert (10, 10) == ledger.taken("editor", begin)


def test_budget_overnight(ledger: SqlLedger, clock: FakeClock) -> None:
    """A hold from before midnight does not burden the new day, nor does its cost."""
    clock.time = MIDNIGHT + DAY - 1
    budget = [Budget("day", 10), Budget("total", 100)]
    ledger.reserve(hold("late:1", 10), budget)
    clock.time += 2

    ledger.reserve(hold("early:1", 10), budget)
    close(ledger, settled("late:1", 10))

    with pytest.raises(BudgetExceeded, match="/day"):
        ledger.reserve(hold("more:1", 1), budget)
    assert (10, 10) == ledger.taken("editor", 0)


def test_no_overshoot(ledger: SqlLedger) -> None:
    """Two hundred threads that race for one budget get exactly as many holds as fit."""
    amount, limit = 7, 1_000
    begin = threading.Barrier(200)

    def race(number: int) -> bool:
        begin.wait()
        try:
            ledger.reserve(hold(f"{number}:1", amount), [Budget("day", limit), Budget("total", limit)])
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(200) as pool:
        granted = sum(pool.map(race, range(200)))

    assert limit // amount == granted
    assert granted * amount == ledger.sums().held


def test_no_overshoot_while_settling(ledger: SqlLedger) -> None:
    """Also while attempts settle for less than was held, no moment holds and has spent more than the limit."""
    limit = 10_000

    def spend(thread: int) -> int:
        spent = 0
        for number in range(40):
            name = f"{thread}.{number}:1"
            try:
                ledger.reserve(hold(name, 300), [Budget("total", limit)])
            except BudgetExceeded:
                continue
            ledger.close(settled(name, number * 7 % 301))
            spent += number * 7 % 301
        return spent

    with ThreadPoolExecutor(16) as pool:
        spent = sum(pool.map(spend, range(16)))
    ledger.flush()

    assert limit - 300 < spent <= limit
    assert (spent, 0) == ledger.taken("editor", 0)


def test_no_overshoot_by_dear_answers(ledger: SqlLedger) -> None:
    """An attempt that cost more than was held for it counts in full from the moment at which it is closed."""
    budget = [Budget("total", 1_000)]
    ledger.reserve(hold("cheap:1", 100), budget)
    ledger.reserve(hold("dear:1", 100), budget)
    ledger.close(settled("cheap:1", 50))
    ledger.close(settled("dear:1", 900))

    with pytest.raises(BudgetExceeded) as refused:
        ledger.reserve(hold("more:1", 51), budget)

    assert "0.00000005" == dollars(refused.value)[4]
    ledger.reserve(hold("less:1", 50), budget)
    assert (950, 50) == ledger.taken("editor", 0)


def test_no_overshoot_when_answers_are_dear(ledger: SqlLedger) -> None:
    """Whose attempts cost more than was held gets no more of them once those closed have reached the limit."""
    limit, closed, lock = 10_000, 0, threading.Lock()

    def spend(thread: int) -> list[int]:
        nonlocal closed
        found = []
        for number in range(40):
            name = f"{thread}.{number}:1"
            before = closed
            try:
                ledger.reserve(hold(name, 10), [Budget("total", limit)])
            except BudgetExceeded:
                continue
            found.append(before)
            ledger.close(settled(name, 90))
            with lock:
                closed += 90
        return found

    with ThreadPoolExecutor(16) as pool:
        granted = [before for found in pool.map(spend, range(16)) for before in found]

    assert max(granted) <= limit - 10
    assert (90 * len(granted), 0) == ledger.taken("editor", 0)


def test_periods_are_those_of_the_budgets() -> None:
    """The periods above are all there are."""
    assert ("day", "week", "month", "total") == PERIODS
