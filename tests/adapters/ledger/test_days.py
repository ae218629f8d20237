"""Days that are over are added up for reports, which tell the same as before, to the nano-dollar."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.adapters.clock import SystemClock
from app.adapters.ledger import SqlLedger
from app.core.ledger import Closing, Open, Source, State
from app.core.meter import Usage
from tests.adapters.ledger.ledgers import DAY, HOUR, MIDNIGHT, changed, hold, rows, settled
from tests.services.fakes import FakeClock, Recorder

FOREVER = 2e9
YEAR = 365 * DAY


def spend(ledger: SqlLedger, name: str, cost: int) -> None:
    ledger.reserve(hold(f"{name}:1", cost), [])
    ledger.close(settled(f"{name}:1", cost))
    ledger.flush()


def costs(ledger: SqlLedger, since: float = 0, until: float = FOREVER) -> dict[str, int]:
    return {row.key: row.cost for row in ledger.usage("day", since, until).rows}


@pytest.fixture
def summed(ledger: SqlLedger, clock: FakeClock) -> SqlLedger:
    """A call at one o'clock on each of four days, the first three of which are added up; one of the first is open."""
    for day in range(4):
        clock.time = MIDNIGHT + day * DAY + HOUR
        if not day:
            ledger.reserve(hold("late:1", 5_000), [])
        spend(ledger, f"day{day}", 10**day)
    ledger.sum_up()
    return ledger


def test_summed(summed: SqlLedger, path: Path) -> None:
    """Reports are made of one row for each day that is over, and of hours for the last one with calls."""
    changed(path, f"DELETE FROM hours WHERE hour < {int(MIDNIGHT + 3 * DAY) // 3600}")

    assert {"2027-01-15": 1, "2027-01-16": 10, "2027-01-17": 100, "2027-01-18": 1_000} == costs(summed)
    assert [("editor", "author/model", 1_111)] == summed.costs()


@pytest.mark.parametrize(
    "closing_",
    [
        settled("late:1", 7, usage=Usage(prompt_tokens=3, completion_tokens=4, cost=7)),
        Closing("late:1", State.WRITTEN_OFF, cost=5_000, source=Source.ESTIMATE),
        Closing("late:1", State.RELEASED, cost=0),
    ],
    ids=["settled", "written off", "released"],
)
def test_late(summed: SqlLedger, closing_: Closing) -> None:
    """An attempt of a day that was added up counts for that day as soon as it is over, whoever adds up again."""
    estimated = closing_.cost if closing_.source is Source.ESTIMATE else 0
    tokens = (3, 4) if closing_.usage else (0, 0)
    for _ in range(2):
        summed.close(closing_)
        summed.flush()
        summed.sum_up()

        first = summed.usage("day", 0, FOREVER).rows[0]
        assert ("2027-01-15", 2, 2, 1 + (closing_.cost or 0)) == (first.key, first.calls, first.attempts, first.cost)
        assert (*tokens, estimated) == (first.prompt_tokens, first.completion_tokens, first.estimated)


def test_late_beside(summed: SqlLedger, path: Path, clock: FakeClock) -> None:
    """Whoever settles it adds it to its day, also one who was at work before that day was added up."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM days")
        connection.execute("DELETE FROM facts WHERE name = 'summed_before'")
    other = SqlLedger(path, clock, Recorder())
    spend(other, "other", 3)

    summed.sum_up()
    other.close(settled("late:1", 7))
    other.flush()

    assert 8 == costs(summed)["2027-01-15"]
    other.stop()


def test_parts_of_days(summed: SqlLedger, clock: FakeClock) -> None:
    """A stretch that begins or ends within a day holds that day's hours of it only."""
    second = MIDNIGHT + DAY
    expected = {
        (second, second + DAY): 10,
        (second + HOUR, second + 2 * HOUR): 10,
        (second + 2 * HOUR, second + DAY + 2 * HOUR): 100,
        (second - DAY + 2 * HOUR, second + HOUR): 0,
        (second - DAY + 2 * HOUR, second + 3 * DAY): 1_110,
        (second - 9 * DAY, second + DAY + HOUR): 11,
    }

    assert expected == {stretch: sum(costs(summed, *stretch).values()) for stretch in expected}


def test_trimmed(summed: SqlLedger, clock: FakeClock) -> None:
    """Trimming takes nothing from what was added up, nor from what is added up later."""
    spend(summed, "more", 10_000)
    clock.time += DAY
    spend(summed, "then", 100_000)
    before = costs(summed)

    summed.trim(clock.time)
    summed.sum_up()

    assert before == costs(summed)


def test_restored(summed: SqlLedger, path: Path, reopen: Callable[[], SqlLedger], clock: FakeClock) -> None:
    """A copy has its sums with it: what it holds is told exactly, and what happens from then on."""
    summed.back_up_daily()
    before = costs(summed)
    summed.close(settled("late:1", 7))
    summed.stop()
    path.write_bytes(b"broken" * 1000)

    restored = reopen()
    assert before == costs(restored)

    restored.close(settled("late:1", 9))
    restored.flush()
    restored.sum_up()
    assert {**before, "2027-01-15": 10} == costs(restored)


def test_clock_was_ahead(ledger: SqlLedger, clock: FakeClock) -> None:
    """What was added up under days that were none moves to the day that it was, and later days are added up anew."""
    spend(ledger, "before", 1)
    for number in range(3):
        clock.time = MIDNIGHT + YEAR + number * DAY
        spend(ledger, f"ahead{number}", 10)
    ledger.sum_up()

    clock.time = MIDNIGHT + 12 * HOUR
    spend(ledger, "after", 100)
    ledger.sum_up()
    assert {"2027-01-15": 131} == costs(ledger)

    clock.time += DAY
    spend(ledger, "next", 1_000)
    ledger.sum_up()
    assert {"2027-01-15": 131, "2027-01-16": 1_000} == costs(ledger)


def test_older_ledger(ledger: SqlLedger, path: Path, clock: FakeClock, reopen: Callable[[], SqlLedger]) -> None:
    """A ledger from before days were added up is read as it is, and becomes one of today when it is written."""
    for day in range(3):
        clock.time = MIDNIGHT + day * DAY
        spend(ledger, f"day{day}", 10**day)
    expected = costs(ledger)
    ledger.stop()
    for statement in ("DROP TABLE days", "UPDATE facts SET value = '2' WHERE name = 'version'"):
        changed(path, statement)

    assert expected == costs(SqlLedger(path, SystemClock(), Recorder()))

    again = reopen()
    again.sum_up()
    assert expected == costs(again)
    assert 2 == len(rows(path, "days"))


@pytest.mark.parametrize("seed", range(12))
def test_any_history(seed: int, ledger: SqlLedger, clock: FakeClock) -> None:
    """Whatever the order in which attempts end and days are added up, a report is what a list of them adds up to."""
    luck = random.Random(seed)
    running: list[Open] = []
    over: list[tuple[Open, int]] = []
    for number in range(60):
        clock.time += luck.choice([-HOUR, 60, HOUR, 5 * HOUR, 30 * HOUR])
        ledger.reserve(hold(f"{number}:1", 50, app=luck.choice("xy"), model=luck.choice("mn")), [])
        running += [each for each in ledger.open() if each.attempt_id == f"{number}:1"]
        for _ in range(luck.randrange(3)):
            attempt, cost = running.pop(luck.randrange(len(running))), luck.randrange(10**12)
            over.append((attempt, cost))
            ledger.close(settled(attempt.attempt_id, cost))
            if not running:
                break
        luck.choice([ledger.sum_up, ledger.flush, lambda: ledger.trim(clock.time)])()

        begin = (clock.time // HOUR - luck.randrange(200)) * HOUR
        end = begin + luck.randrange(200) * HOUR
        for by in ("app", "model"):
            expected = Counter[str]()
            for attempt, cost in over:
                if begin <= attempt.at // HOUR * HOUR < end:
                    expected[getattr(attempt, by)] += cost
            assert expected == {row.key: row.cost for row in ledger.usage(by, begin, end).rows}
