from __future__ import annotations

import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from app.adapters.ledger import NewerLedger, SqlLedger, statements
from app.core.errors import BadRequest, Unavailable
from app.core.ledger import Checkpoint, Closing, Open, Source, State, Sums, UsageRow
from app.core.meter import Usage
from tests.adapters.ledger.ledgers import (
    DAY,
    HOUR,
    KEY_ID,
    MIDNIGHT,
    OTHER_KEY_ID,
    ambiguous,
    changed,
    close,
    crash,
    hold,
    opened,
    released,
    rows,
    settled,
)
from tests.core.quick import quick
from tests.lab.client.lab import comes_true
from tests.services.fakes import FakeClock, Recorder

FOREVER = 2e9


# Holds and what becomes of them


def test_reserved(ledger: SqlLedger, path: Path, clock: FakeClock) -> None:
    """A hold is on the disk when `reserve` returns, with whose it is and without any message text."""
    ledger.reserve(hold("call:1", 1_234, agent="writer", stream=True, priced=False), [])

    (row,) = rows(path)
    kept = {name: value for name, value in row.items() if value is not None}
    assert {
        "id": "call:1", "call_id": "call", "number": 1, "at": int(clock.time * 1000), "app": "editor",
        "agent": "writer", "endpoint": "/chat/completions", "asked": "author/asked", "model": "author/model",
        "key_id": KEY_ID, "stream": 1, "state": "reserved", "hold": 1_234, "priced": 0,
    } == kept  # fmt: skip
    expected = Open("call:1", "editor", "author/model", KEY_ID, None, 1_234, State.RESERVED, clock.time)
    assert [expected] == ledger.open()
    assert Sums(settled=0, held=1_234, unsettled=0, outside=0) == ledger.sums()


def test_settled(ledger: SqlLedger, path: Path, clock: FakeClock) -> None:
    """What a closing says is on record, and the cost stands in place of the hold."""
    ledger.reserve(hold("call:1"), [])
    clock.time += 2
    usage = Usage(10, 20, 30, cached_tokens=4, reasoning_tokens=5, cost=600, is_byok=True)
    answer = settled(
        "call:1", 600, served_model="author/model-0613", provider="Provider", generation_id="gen-1", usage=usage,
        status=200, outcome="answered", first_content_s=0.25, duration_s=1.5,
    )  # fmt: skip

    close(ledger, answer)

    (row,) = rows(path)
    names = "state cost source served_model provider generation_id is_byok prompt_tokens completion_tokens"
    more = "cached_tokens reasoning_tokens status outcome first_content_ms duration_ms closed_at"
    assert (
        *("settled", 600, "answer", "author/model-0613", "Provider", "gen-1", 1, 10, 20),
        *(4, 5, 200, "answered", 250, 1500, int(clock.time * 1000)),
    ) == tuple(row[name] for name in f"{names} {more}".split())
    assert Sums(settled=600, held=0, unsettled=0, outside=0) == ledger.sums()
    assert [] == ledger.open()


_ENDS = {
    "settled": settled("call:1", 600),
    "released": released("call:1"),
    "written off": Closing("call:1", State.WRITTEN_OFF, cost=1_000, source=Source.ESTIMATE),
}
_AGAIN = {**_ENDS, "doubted": ambiguous("call:1"), "dearer": settled("call:1", 999)}


@pytest.mark.parametrize("again", _AGAIN.values(), ids=_AGAIN)
@pytest.mark.parametrize("first", _ENDS.values(), ids=_ENDS)
def test_closed_once(ledger: SqlLedger, first: Closing, again: Closing, path: Path) -> None:
    """What is closed stays as it is: whatever comes later, and however often, counts for nothing."""
    ledger.reserve(hold(), [])
    close(ledger, first)
    before = rows(path), rows(path, "spending"), rows(path, "hours")

    close(ledger, again, again)

    assert before == (rows(path), rows(path, "spending"), rows(path, "hours"))
    assert first.cost == ledger.sums().settled


class HaltingClock(FakeClock):
    """A clock that, once it is to halt, keeps whoever asks for the time until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.halts = False
        self.asked = threading.Event()
        self.may_go_on = threading.Event()

    def now(self) -> float:
        if self.halts:
            self.asked.set()
            assert self.may_go_on.wait(30)
        return super().now()


def test_read_while_closings_are_written(path: Path) -> None:
    """Who reads while what has ended is being written, but is not committed, waits until it is."""
    clock = HaltingClock()
    ledger = opened(path, clock)
    with ThreadPoolExecutor(1) as pool:
        ledger.reserve(hold("call:1"), [])
        clock.halts = True
        ledger.close(settled("call:1", 600))
        assert clock.asked.wait(30)

        read = pool.submit(ledger.sums)

        with pytest.raises(TimeoutError):
            read.result(0.2)
        clock.may_go_on.set()
        assert Sums(settled=600, held=0, unsettled=0, outside=0) == read.result(30)
    ledger.stop()


def test_unknown_attempt(ledger: SqlLedger) -> None:
    """Closing what is not on record changes nothing."""
    close(ledger, settled("nobody:1", 600))

    assert Sums(0, 0, 0, 0) == ledger.sums()


def test_ambiguous(ledger: SqlLedger, clock: FakeClock) -> None:
    """An attempt in doubt keeps its hold and its day: settled after midnight, it counts for the day it was sent."""
    ledger.reserve(hold("call:1", 1_000), [])
    close(ledger, ambiguous("call:1", generation_id="gen-1"))
    held = ledger.sums()
    clock.time += DAY

    close(ledger, settled("call:1", 700, source=Source.GENERATION))

    assert Sums(settled=0, held=1_000, unsettled=1_000, outside=0) == held
    assert (700, 0) == ledger.taken("editor", MIDNIGHT)
    assert (0, 0) == ledger.taken("editor", MIDNIGHT + DAY)
    assert ["2027-01-15"] == [row.key for row in ledger.usage("day", 0, FOREVER).rows]


def test_unsaid_stays(ledger: SqlLedger, path: Path) -> None:
    """What a later closing does not say stays as the first has told it."""
    ledger.reserve(hold(), [])
    close(ledger, ambiguous("call:1", generation_id="gen-1", status=499, outcome="left", provider="First"))

    close(ledger, settled("call:1", 700, source=Source.GENERATION, provider="Second"))

    (row,) = rows(path)
    assert ("gen-1", 499, "left", "Second") == tuple(
        row[name] for name in ("generation_id", "status", "outcome", "provider")
    )


def test_order_of_closings(ledger: SqlLedger, path: Path) -> None:
    """Closings are written in the order they were told, also when many come at once."""
    for number in range(600):
        ledger.reserve(hold(f"{number}:1"), [])
    for number in range(600):
        ledger.close(ambiguous(f"{number}:1", status=499))
        ledger.close(settled(f"{number}:1", number))
        ledger.close(released(f"{number}:1"))

    ledger.flush()

    assert {("settled", 499)} == {(row["state"], row["status"]) for row in rows(path)}
    assert sum(range(600)) == ledger.sums().settled


def test_written_without_being_asked(ledger: SqlLedger) -> None:
    """Nobody has to flush: the ledger's own thread writes a closing soon."""
    ledger.reserve(hold(), [])

    ledger.close(settled("call:1", 700))

    assert comes_true(lambda: ledger.sums().settled == 700)


# Generation ids


def test_identified(ledger: SqlLedger, reopen: Callable[[], SqlLedger]) -> None:
    """OpenRouter's id of a long attempt outlives a crash."""
    for name in ("a", "b"):
        ledger.reserve(hold(f"{name}:1"), [])
        ledger.identify(f"{name}:1", f"gen-{name}")

    assert comes_true(lambda: all(attempt.generation_id for attempt in ledger.open()))
    let_go = crash(ledger)
    attempts = reopen().open()
    let_go()

    assert {("gen-a", State.AMBIGUOUS), ("gen-b", State.AMBIGUOUS)} == {
        (attempt.generation_id, attempt.state) for attempt in attempts
    }


def test_identified_then_closed(ledger: SqlLedger, path: Path) -> None:
    """An id that was told is on record also when the closing comes first and does not repeat it."""
    ledger.reserve(hold(), [])
    ledger.identify("call:1", "gen-1")

    close(ledger, ambiguous("call:1"))

    assert ["gen-1"] == [row["generation_id"] for row in rows(path)]


def test_identified_at_the_end(reopen: Callable[[], SqlLedger], path: Path) -> None:
    """An id that was told just before the ledger stops is written."""
    ledger = reopen()
    ledger.reserve(hold(), [])
    ledger.identify("call:1", "gen-1")

    ledger.stop()

    assert ["gen-1"] == [row["generation_id"] for row in rows(path)]


# Sums and reports


@pytest.fixture
def told(ledger: SqlLedger, clock: FakeClock) -> SqlLedger:
    """Two apps on two days: chains, an estimate, another key, and attempts that are not over."""
    usage = Usage(prompt_tokens=10, completion_tokens=5, cost=0)
    for number, (facts, cost, source, day) in enumerate((
        ({"model": "a/one"}, 100, Source.ANSWER, 0),
        ({"model": "a/one", "agent": "writer"}, 200, Source.ANSWER, 0),
        ({"model": "b/two", "app": "chat", "key_id": OTHER_KEY_ID}, 400, Source.GENERATION, 0),
        ({"model": "b/two", "number": 2}, 800, Source.ANSWER, 1),
        ({"model": "a/one"}, 1_600, Source.ESTIMATE, 1),
    )):  # fmt: skip
        clock.time = MIDNIGHT + day * DAY + number * HOUR
        ledger.reserve(hold(f"{number}:1", 5_000, **facts), [])
        close(ledger, settled(f"{number}:1", cost, source=source, usage=replace(usage, cost=cost)))
    ledger.reserve(hold("running:1", 10_000), [])
    ledger.reserve(hold("doubted:1", 20_000, app="chat"), [])
    close(ledger, ambiguous("doubted:1"))
    return ledger


def test_sums(told: SqlLedger) -> None:
    """Everything ever spent, and what is set aside: of all apps or of one."""
    told.reconciled(KEY_ID, Checkpoint(MIDNIGHT + DAY, 0, None, 0, 0), 50, "key")

    assert Sums(settled=3_100, held=30_000, unsettled=20_000, outside=50) == told.sums()
    assert Sums(settled=2_700, held=10_000, unsettled=0, outside=0) == told.sums("editor")
    assert Sums(settled=400, held=20_000, unsettled=20_000, outside=0) == told.sums("chat")
    assert Sums(0, 0, 0, 0) == told.sums("nobody")


_REPORTS = {
    "day": [("2027-01-15", 3, 3, 30, 15, 700, 0), ("2027-01-16", 1, 2, 20, 10, 2_400, 1_600)],
    "app": [("editor", 3, 4, 40, 20, 2_700, 1_600), ("chat", 1, 1, 10, 5, 400, 0)],
    "model": [("a/one", 3, 3, 30, 15, 1_900, 1_600), ("b/two", 1, 2, 20, 10, 1_200, 0)],
    "agent": [("", 3, 4, 40, 20, 2_900, 1_600), ("writer", 1, 1, 10, 5, 200, 0)],
}


@pytest.mark.parametrize(("by", "expected"), _REPORTS.items(), ids=_REPORTS)
def test_usage(told: SqlLedger, by: str, expected: list[tuple[str, int, int, int, int, int, int]]) -> None:
    """A report adds up what is over: days in order, the others by cost; a chain is one call."""
    report = told.usage(by, 0, FOREVER)

    assert tuple(UsageRow(*row) for row in expected) == report.rows
    assert (3_100, 30_000, 20_000) == (report.sums.settled, report.sums.held, report.sums.unsettled)


def test_usage_in_between(told: SqlLedger) -> None:
    """A report of a stretch holds its hours and no others, and what others spent within it."""
    told.reconciled(KEY_ID, Checkpoint(MIDNIGHT, 0, None, 0, 0), 50, "key")
    told.reconciled(KEY_ID, Checkpoint(MIDNIGHT + DAY, 0, None, 0, 0), 70, "key")

    report = told.usage("app", MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR)

    assert [("chat", 400), ("editor", 200)] == [(row.key, row.cost) for row in report.rows]
    assert 600 == report.sums.settled
    assert 0 == report.sums.outside
    assert 70 == told.usage("app", MIDNIGHT + HOUR, MIDNIGHT + DAY).sums.outside


def test_usage_outlives_the_rows(told: SqlLedger, clock: FakeClock) -> None:
    """Trimming takes rows, never sums; what is not settled stays whole, however old it is."""
    before = told.sums(), told.usage("day", 0, FOREVER).rows, told.taken("editor", MIDNIGHT)
    clock.time += 30 * DAY

    removed = told.trim(clock.time)

    assert 5 == removed
    assert {"running:1", "doubted:1"} == {attempt.attempt_id for attempt in told.open()}
    assert before == (told.sums(), told.usage("day", 0, FOREVER).rows, told.taken("editor", MIDNIGHT))


def test_trimmed_in_portions(ledger: SqlLedger, clock: FakeClock) -> None:
    """However much there is to trim, all of it goes, and only what is older than asked."""
    for number in range(4_100):
        ledger.reserve(hold(f"{number}:1"), [])
        ledger.close(released(f"{number}:1"))
    clock.time += 1
    ledger.reserve(hold("young:1"), [])
    close(ledger, released("young:1"))

    assert 4_100 == ledger.trim(clock.time)
    assert 0 == ledger.trim(clock.time)
    assert 1 == ledger.state().attempts


def test_usage_by_something_else(ledger: SqlLedger) -> None:
    """A report by a word that does not exist says which there are."""
    with pytest.raises(BadRequest, match="day, app, model, agent") as caught:
        ledger.usage("colour", 0, FOREVER)

    assert "by" == caught.value.param


def test_spent_between(told: SqlLedger) -> None:
    """What a stretch of time has cost: a short one exactly, a long one by whole hours."""
    assert 200 == told.spent_between(MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)
    assert 300 == told.spent_between(MIDNIGHT, MIDNIGHT + HOUR + 1)
    assert 3_100 == told.spent_between(MIDNIGHT, MIDNIGHT + 2 * DAY)
    assert 2_400 == told.spent_between(MIDNIGHT + 3 * HOUR, MIDNIGHT + 2 * DAY)


def test_costs(told: SqlLedger) -> None:
    """What every app has ever spent on every model, for counters that go on where they were."""
    told.trim(FOREVER)

    assert [("chat", "b/two", 400), ("editor", "a/one", 1_900), ("editor", "b/two", 800)] == sorted(told.costs())


def test_began_at(ledger: SqlLedger, clock: FakeClock) -> None:
    """The ledger knows when the first attempt was sent, and that there was none."""
    assert ledger.began_at() is None
    ledger.reserve(hold("a:1"), [])
    clock.time += DAY
    ledger.reserve(hold("b:1"), [])

    assert clock.time - DAY == ledger.began_at()


def test_reconciled(told: SqlLedger) -> None:
    """A checkpoint of a key is what was kept last, and every amount that others spent is a row of its own."""
    first = Checkpoint(MIDNIGHT, 1, None, 2, 3)
    second = Checkpoint(MIDNIGHT + HOUR, 10, 20, 30, 40)

    told.reconciled(KEY_ID, first, 0, "key")
    told.reconciled(KEY_ID, second, 7, "credits")
    told.reconciled(KEY_ID, second, -2, "credits")

    assert (second, None) == (told.checkpoint(KEY_ID), told.checkpoint(OTHER_KEY_ID))
    assert (2_700, 3_100) == told.settled_for(KEY_ID)
    assert (400, 3_100) == told.settled_for(OTHER_KEY_ID)
    assert 5 == told.sums().outside
    at = int(MIDNIGHT * 1000)
    assert [(at, at + 3_600_000, 7), (at + 3_600_000, at + 3_600_000, -2)] == [
        (row["since"], row["at"], row["cost"]) for row in rows(Path(told.state().path), "outside")
    ]


def test_facts(ledger: SqlLedger, reopen: Callable[[], SqlLedger]) -> None:
    """A fact is there at the next start, as it was kept last; None forgets it."""
    for name, value in (("a", "1"), ("b", "1"), ("a", "2"), ("b", None)):
        ledger.keep_fact(name, value)
    ledger.stop()

    again = reopen()

    assert ("2", None, None) == (again.fact("a"), again.fact("b"), again.fact("c"))


# Threads, and jobs that cannot be done


def test_twice_the_same(ledger: SqlLedger) -> None:
    """An attempt that is on record is not reserved again, and those written together with it do not suffer."""
    ledger.reserve(hold("twice:1"), [])

    def take(number: int) -> str | None:
        try:
            ledger.reserve(hold("twice:1" if number % 4 == 0 else f"{number}:1"), [])
        except Unavailable as error:
            return error.code
        return None

    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(take, range(80)))

    assert [None if number % 4 else "ledger_unavailable" for number in range(80)] == told
    assert 61 == len(ledger.open())
    assert ledger.state().trouble is None


def test_a_job_that_breaks(ledger: SqlLedger, events: Recorder) -> None:
    """A figure that no database takes is reported, and what comes with it, before or after it, counts once."""
    for name in ("a:1", "b:1", "c:1"):
        ledger.reserve(hold(name), [])

    close(ledger, settled("a:1", 5), settled("b:1", 2**70), settled("c:1", 7))

    assert ["ledger.broke"] == events.told
    assert Sums(settled=12, held=1_000, unsettled=0, outside=0) == ledger.sums()


@quick
@given(st.text(alphabet=st.characters(), max_size=300), st.booleans())
def test_any_text(shared: SqlLedger, text: str, is_stream: bool) -> None:
    """Whatever an answer says its model, provider or id is, its cost is written down."""
    name = f"{shared.state().attempts}:1"
    shared.reserve(hold(name, 10, model=text, asked=text, stream=is_stream), [])
    if is_stream:
        shared.identify(name, text)
    before = shared.sums().settled

    close(shared, settled(name, 3, served_model=text, provider=text, generation_id=text or None))

    assert (3, 0) == (shared.sums().settled - before, shared.sums().held)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlLedger]:
    """One ledger for all examples of a property."""
    ledger = opened(tmp_path_factory.mktemp("shared") / "ledger.db")
    yield ledger
    ledger.stop()


# Starts and stops


def test_stop_writes_everything(ledger: SqlLedger, path: Path) -> None:
    """All that was told before `stop` is written by it, however much that is."""
    for number in range(1_200):
        ledger.reserve(hold(f"{number}:1"), [])
    for number in range(1_200):
        ledger.close(settled(f"{number}:1", 1))

    ledger.stop()

    assert not Path(f"{path}-wal").exists()
    assert {"settled"} == {row["state"] for row in rows(path)}


def test_closed_after_the_end(ledger: SqlLedger, path: Path) -> None:
    """A call that ends after the ledger was stopped is written all the same, and the file let go of."""
    ledger.reserve(hold("late:1"), [])
    ledger.stop()

    ledger.close(settled("late:1", 5))

    assert not Path(f"{path}-wal").exists()
    assert [("settled", 5)] == [(row["state"], row["cost"]) for row in rows(path)]


def test_stop_while_calls_end(reopen: Callable[[], SqlLedger], path: Path) -> None:
    """Not one of the calls that end while the ledger stops is lost."""
    ledger = reopen()
    for number in range(200):
        ledger.reserve(hold(f"{number}:1"), [])
    begin = threading.Barrier(5)

    def end(thread: int) -> None:
        begin.wait()
        for number in range(thread, 200, 4):
            ledger.close(settled(f"{number}:1", 1))

    with ThreadPoolExecutor(4) as pool:
        ended = [pool.submit(end, thread) for thread in range(4)]
        begin.wait()
        ledger.stop()
    assert [None] * 4 == [each.result() for each in ended]

    assert {"settled"} == {row["state"] for row in rows(path)}


def test_restart(ledger: SqlLedger, reopen: Callable[[], SqlLedger]) -> None:
    """After a crash what was under way is in doubt, and everything else as it was."""
    for name in ("running", "doubted", "settled", "released"):
        ledger.reserve(hold(f"{name}:1"), [])
    close(ledger, ambiguous("doubted:1"), settled("settled:1", 5), released("released:1"))
    let_go = crash(ledger)

    again = SqlLedger(Path(ledger.state().path), FakeClock(), Recorder())
    crashed = again.open_for_use()
    let_go()

    assert 1 == crashed
    assert {("running:1", State.AMBIGUOUS), ("doubted:1", State.AMBIGUOUS)} == {
        (attempt.attempt_id, attempt.state) for attempt in again.open()
    }
    assert Sums(settled=5, held=2_000, unsettled=2_000, outside=0) == again.sums()
    again.stop()


def test_newer_ledger(ledger: SqlLedger, path: Path, reopen: Callable[[], SqlLedger]) -> None:
    """A ledger that a newer orgate has written is not touched."""
    ledger.reserve(hold(), [])
    ledger.stop()
    changed(path, "UPDATE facts SET value = '99' WHERE name = 'version'")

    with pytest.raises(NewerLedger, match="99"):
        reopen()

    assert ["reserved"] == [row["state"] for row in rows(path)]
    assert [path.name] == [each.name for each in path.parent.iterdir() if not each.name.startswith("ledger.db-")]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes")
def test_private(ledger: SqlLedger, path: Path) -> None:
    """The ledger, its log and its copies are the owner's alone."""
    ledger.reserve(hold(), [])
    ledger.back_up_daily()

    assert {0o600} == {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}


# Copies


def test_backup(ledger: SqlLedger, path: Path, tmp_path: Path) -> None:
    """A copy is a whole ledger as of its moment, made while calls go on."""
    for number in range(300):
        ledger.reserve(hold(f"{number}:1"), [])
        ledger.close(settled(f"{number}:1", 1))
    place = tmp_path / "copy.db"
    place.write_bytes(b"what was here before")
    going = threading.Event()

    def go_on() -> int:
        number = 0
        while not going.is_set():
            ledger.reserve(hold(f"more{number}:1", 0), [])
            number += 1
        return number

    with ThreadPoolExecutor(1) as pool:
        more = pool.submit(go_on)
        ledger.flush()
        ledger.backup(place)
        going.set()
    copy = opened(place)

    assert (300, None) == (copy.sums().settled, copy.faults())
    assert 300 + more.result() == ledger.state().attempts >= copy.state().attempts >= 300
    copy.stop()


def test_backup_to_nowhere(ledger: SqlLedger, path: Path, tmp_path: Path) -> None:
    """A copy that cannot be made says why, and leaves nothing behind."""
    (tmp_path / "file").touch()

    for place in (tmp_path / "no" / "folder" / "copy.db", tmp_path / "file" / "copy.db"):
        with pytest.raises(Unavailable, match=r"copy\.db") as caught:
            ledger.backup(place)
        assert "backup_failed" == caught.value.code

    ledger.reserve(hold(), [])


def test_daily_backup(ledger: SqlLedger, path: Path, clock: FakeClock) -> None:
    """One copy a day is made, and the last three are kept."""
    for _ in range(5):
        ledger.reserve(hold(f"{clock.time}:1"), [])
        ledger.back_up_daily()
        ledger.reserve(hold(f"{clock.time}:2"), [])
        ledger.back_up_daily()
        clock.time += DAY

    days = [f"ledger-backup-202701{day}.db" for day in (17, 18, 19)]
    assert days == sorted(each.name for each in path.parent.glob("*backup*"))
    assert days[-1] == ledger.state().last_backup
    assert 9 == len(rows(path.with_name(days[-1])))


def test_state(ledger: SqlLedger, path: Path, clock: FakeClock) -> None:
    """How the ledger is: where, how large, how much is in it, and that nothing is wrong."""
    ledger.reserve(hold(), [])
    state = ledger.state()

    assert (str(path), 1, clock.time, None, None, None) == (
        *(state.path, state.attempts, state.oldest_at),
        *(state.trouble, state.locked, state.last_backup),
    )
    assert sum(each.stat().st_size for each in path.parent.iterdir()) == state.size_bytes
    assert ledger.faults() is None


# What it costs


def test_looks_only_at_open_holds(path: Path, ledger: SqlLedger) -> None:
    """However many attempts are on record, a budget is checked by an index of the open ones alone."""
    asked = statements._taken
    with closing(sqlite3.connect(path)) as connection:
        values = {"app": "editor", "day": 0, "since": 0}
        plan = connection.execute(f"EXPLAIN QUERY PLAN {asked._sql}", values).fetchall()

    told = [row[3] for row in plan]
    assert any("attempts USING INDEX open_attempts (app=? AND at>?)" in each for each in told), told
    assert any(
        "spending USING PRIMARY KEY (app=? AND day>?)" in each or "spending USING INDEX" in each for each in told
    )


def test_start_looks_only_at_open_attempts(path: Path, ledger: SqlLedger) -> None:
    """However many attempts are on record, those that a crash has left are found by the index of the open ones."""
    with closing(sqlite3.connect(path)) as connection:
        asked = str(statements.doubt_all.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        plan = connection.execute(f"EXPLAIN QUERY PLAN {asked}").fetchall()

    assert ["SCAN attempts USING INDEX open_attempts"] == [row[3] for row in plan]
