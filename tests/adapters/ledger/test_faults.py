from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from app.adapters.ledger import SqlLedger, database, files
from app.core.budget import Budget
from app.core.errors import BudgetExceeded, Unavailable
from app.core.ledger import Sums
from tests.adapters.ledger.ledgers import (
    DAY,
    ambiguous,
    changed,
    crash,
    hampered,
    hold,
    locked_by_another,
    merge_log,
    opened,
    rows,
    settled,
)
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true
from tests.services.fakes import FakeClock, Recorder

resource = pytest.importorskip("resource", reason="not on this system")

BUDGET = [Budget("total", 1_000_000)]
READ_ONLY = "query_only = ON"
FULL = "max_page_count = 1"
"""SQLite's own "database or disk is full": no page can be added to what is there."""

Reopen = Callable[[], SqlLedger]


BUDGETS: list[Budget] = []
"""What the apps may spend whose calls meet the fault."""


@pytest.fixture(autouse=True, params=[(), BUDGET], ids=["free", "budget"])
def apps(request: pytest.FixtureRequest) -> None:
    """Every fault meets apps without a budget, whose holds take a shorter way, and apps with one."""
    BUDGETS[:] = request.param


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock waits for less long, and tries again sooner."""
    monkeypatch.setattr(files, "_BUSY_S", 0.2)
    monkeypatch.setattr("app.adapters.ledger.writer._AGAIN_S", 0.05)


@pytest.fixture
def used(ledger: SqlLedger) -> SqlLedger:
    """A ledger with something in it: 500 settled, 3 under way, 1 in doubt."""
    for number in range(500):
        ledger.reserve(hold(f"old{number}:1"), [])
        ledger.close(settled(f"old{number}:1", 10))
    for number in range(3):
        ledger.reserve(hold(f"running{number}:1"), [])
    ledger.reserve(hold("doubted:1"), [])
    ledger.close(ambiguous("doubted:1", generation_id="gen-doubted"))
    ledger.flush()
    return ledger


ALL = Sums(settled=5_000, held=4_000, unsettled=1_000, outside=0)


def refuses(ledger: SqlLedger, name: str = "refused:1", code: str = "ledger_unavailable", **facts: object) -> bool:
    """Whether a hold is refused so that nothing may be sent, and by this code."""
    try:
        ledger.reserve(hold(name, **facts), BUDGET if code == "ledger_locked" else BUDGETS)
    except Unavailable as error:
        return (503, code, False) == (error.status, error.code, error.should_retry)
    return False


def test_free_hold_ends_the_trouble(used: SqlLedger, events: Recorder) -> None:
    """What could not be written is written, and the trouble told to be over, by the next hold that can be."""
    with hampered(used, READ_ONLY):
        assert refuses(used)
        assert used.state().trouble is not None

    used.reserve(hold("again:1"), BUDGETS)
    assert used.state().trouble is None
    assert ["ledger.unavailable", "ledger.writes_again"] == [told for told in events.told if told.startswith("ledger.")]


def test_hold_after_the_end(used: SqlLedger) -> None:
    """A ledger that was closed writes what still comes, and lets go of the file again."""
    used.stop()
    used.reserve(hold("late:1"), BUDGETS)

    assert "late:1" in [row["id"] for row in rows(used._database.path)]
    assert used._writer._connection is None


def fills_up(ledger: SqlLedger) -> tuple[int, str]:
    """Reserve until nothing more fits on the disk: how many did, and the first that did not."""
    for number in range(10_000):
        name = f"{time.monotonic_ns()}:1"
        if refuses(ledger, name, asked="x" * 250):
            return number, name
    raise AssertionError("the disk is never full")


# L1, L2: the disk is full


def test_full_at_reserve(used: SqlLedger, path: Path, events: Recorder) -> None:
    """On a full disk a hold is refused and leaves no row, reading goes on, and space is all it takes to go on."""
    with hampered(used, FULL):
        fitted, refused = fills_up(used)
        trouble = used.state().trouble
        on_record = {row["id"] for row in rows(path)}

    used.reserve(hold(refused), BUDGET)

    assert trouble is not None
    assert "full" in trouble
    assert 504 + fitted == len(on_record)
    assert refused not in on_record
    assert (None, None) == (used.state().trouble, used.faults())
    assert ["ledger.unavailable", "ledger.writes_again"] == events.told


def test_full_at_close(used: SqlLedger, path: Path, impatient: None) -> None:
    """What ends while the disk is full is written later, each as it was told and in order, without a restart."""
    for number in range(200):
        used.reserve(hold(f"late{number}:1"), [])
    with hampered(used, FULL):
        fills_up(used)
        for number in range(200):
            used.close(ambiguous(f"late{number}:1", generation_id=f"gen-{number}", provider="x" * 256))
            used.close(settled(f"late{number}:1", 1, served_model="y" * 256))
        with pytest.raises(Unavailable):
            used.flush()
        during = used.sums()

    assert comes_true(lambda: used.sums().settled == 5_200)
    late = [row for row in rows(path) if row["id"].startswith("late")]
    assert during.settled < 5_200
    assert {("settled", 1, "x" * 256, "y" * 256)} == {
        (row["state"], row["cost"], row["provider"], row["served_model"]) for row in late
    }
    assert [f"gen-{number}" for number in range(200)] == [row["generation_id"] for row in late]


def test_dear_answer_on_a_full_disk(used: SqlLedger) -> None:
    """What cost more than its hold and was closed while nothing could be written counts for the first hold after."""
    used.reserve(hold("dear:1"), BUDGET)
    with hampered(used, FULL):
        fills_up(used)
        used.close(settled("dear:1", 1_000_000))

    with pytest.raises(BudgetExceeded):
        used.reserve(hold("more:1", 1), BUDGET)


def test_refused_on_a_full_disk(used: SqlLedger, events: Recorder) -> None:
    """A hold that fits no budget writes nothing, and so is no sign that the disk has room again."""
    for number in range(300):
        used.reserve(hold(f"late{number}:1"), [])
    with hampered(used, FULL):
        fills_up(used)
        for number in range(300):
            used.close(settled(f"late{number}:1", 1, provider="x" * 256, served_model="y" * 256))
        with pytest.raises(Unavailable):
            used.flush()
        before = list(events.told)
        for number in range(5):
            with pytest.raises(Unavailable):
                used.reserve(hold(f"large{number}:1", 2_000_000), BUDGET)
        after = list(events.told)

    assert "ledger.unavailable" == before[-1]
    assert before == after


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False).returncode
    ):
        pytest.skip("this user cannot mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up(small_disk: Path, events: Recorder, impatient: None) -> None:
    """On a disk that somebody else has filled, nothing is half written; once there is room, all is as it was told."""
    path = small_disk / "ledger.db"
    ledger = opened(path, events=events)
    ledger.reserve(hold("early:1"), BUDGET)
    with (small_disk / "somebody's").open("wb", buffering=0) as other:
        try:
            while True:
                other.write(bytes(4096))
        except OSError:
            pass
    fitted, _ = fills_up(ledger)
    ledger.close(settled("early:1", 10))
    assert 1 + fitted == ledger.state().attempts
    (small_disk / "somebody's").unlink()

    ledger.reserve(hold("after:1"), BUDGET)

    assert 10 == ledger.sums().settled
    assert 2 + fitted == len(ledger.open()) + 1 == ledger.state().attempts
    assert ledger.faults() is None
    ledger.stop()


# L3: the disk fails


def test_writing_fails(used: SqlLedger, path: Path, impatient: None) -> None:
    """When the system refuses to write, the hold is refused; it goes on when the system does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    merge_log(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        refused = refuses(used)
        used.close(settled("running0:1", 10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    used.reserve(hold("after:1"), BUDGET)

    assert refused
    assert 5_010 == used.sums().settled
    assert {"running1:1", "running2:1", "doubted:1", "after:1"} == {each.attempt_id for each in used.open()}


# L4: read-only


def test_read_only(used: SqlLedger, path: Path, impatient: None) -> None:
    """What cannot be written is refused, and closings wait until it can be, in order."""
    with hampered(used, READ_ONLY):
        assert refuses(used)
        used.close(ambiguous("running0:1", generation_id="gen-0"))
        used.close(settled("running0:1", 7))
        used.close(settled("doubted:1", 3))
        with pytest.raises(Unavailable):
            used.flush()
        with pytest.raises(Unavailable):
            used.accept()
        assert ALL == used.sums()

    used.flush()

    assert 5_010 == used.sums().settled
    (row,) = [each for each in rows(path) if each["id"] == "running0:1"]
    assert ("settled", 7, "gen-0") == (row["state"], row["cost"], row["generation_id"])
    assert "refused:1" not in {each["id"] for each in rows(path)}


def test_written_again_by_itself(used: SqlLedger, impatient: None) -> None:
    """Nobody has to call: what waits is written as soon as it can be."""
    with hampered(used, READ_ONLY):
        used.close(settled("running0:1", 7))
        assert comes_true(lambda: used.state().trouble is not None)

    assert comes_true(lambda: used.sums().settled == 5_007)
    assert used.state().trouble is None


def test_read_only_at_the_start(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """A ledger that cannot be written does not start, and says why."""
    used.stop()
    Path(f"{path}-wal").mkdir()

    with pytest.raises(Unavailable) as caught:
        reopen()
    Path(f"{path}-wal").rmdir()

    assert "ledger_unavailable" == caught.value.code
    assert ALL.settled == reopen().sums().settled


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_read_only_folder(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """A folder that is not to be written keeps the gateway from starting."""
    used.stop()
    path.parent.chmod(0o500)
    try:
        with pytest.raises(Unavailable):
            reopen()
    finally:
        path.parent.chmod(0o700)


def test_no_room_at_stop(used: SqlLedger, events: Recorder, reopen: Reopen) -> None:
    """What cannot be written before the end is said to be missing, and is in doubt after the next start."""
    with hampered(used, READ_ONLY):
        used.close(settled("running0:1", 7))
        used.stop()

    again = reopen()

    assert "ledger.unwritten" in events.told
    assert Sums(settled=5_000, held=4_000, unsettled=4_000, outside=0) == again.sums()


# L6: locked


def test_locked(used: SqlLedger, path: Path) -> None:
    """While another process holds the ledger everybody who wants to send is told so within about five seconds."""
    with locked_by_another(path), ThreadPoolExecutor(20) as pool:
        began = time.monotonic()
        refused = list(pool.map(lambda number: refuses(used, f"refused{number}:1"), range(20)))
        took = time.monotonic() - began
        used.close(settled("running0:1", 7))
        readable = used.sums().settled

    used.reserve(hold("after:1"), BUDGET)

    assert [True] * 20 == refused
    assert 4 < took < 8
    assert (5_000, 5_007) == (readable, used.sums().settled)
    assert 505 == len(rows(path))


def test_read_while_locked(used: SqlLedger, path: Path) -> None:
    """While another process holds the ledger its readers wait once for all of them, and then see what is written."""
    with locked_by_another(path), ThreadPoolExecutor(8) as pool:
        used.close(settled("running0:1", 7))
        began = time.monotonic()
        seen = list(pool.map(lambda _: used.sums().settled, range(8)))
        took = time.monotonic() - began

    assert [5_000] * 8 == seen
    assert took < 8


def test_locked_for_a_moment(used: SqlLedger, path: Path) -> None:
    """Who waits for a lock that is soon let go of is not refused."""
    began = threading.Event()

    def reserve() -> bool:
        began.set()
        return refuses(used, "patient:1")

    with ThreadPoolExecutor(1) as pool, locked_by_another(path):
        refused = pool.submit(reserve)
        began.wait()

    assert not refused.result()


def test_locked_at_the_start(used: SqlLedger, path: Path, reopen: Reopen, impatient: None) -> None:
    """A ledger that another process writes does not start; nothing in it is taken for damage."""
    used.stop()
    with locked_by_another(path), pytest.raises(Unavailable, match="locked"):
        reopen()

    assert ALL.settled == reopen().sums().settled


# L5: broken


def garbage_at_the_beginning(path: Path) -> None:
    with path.open("rb+") as file:
        file.write(b"\xa5" * 200)


def garbage_in_the_middle(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(path.stat().st_size // 8192 * 4096)
        file.write(b"\xa5" * 8192)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def removed(path: Path) -> None:
    path.unlink()


def no_database(path: Path) -> None:
    path.write_bytes(b"This is no database, but a text that is long enough to be taken for one. " * 200)


def another_database(path: Path) -> None:
    path.unlink()
    changed(path, "CREATE TABLE facts (name, value)")


DAMAGE = {
    each.__name__: each
    for each in (
        *(garbage_at_the_beginning, garbage_in_the_middle, cut_in_half),
        *(emptied, removed, no_database, another_database),
    )
}


@pytest.fixture(params=DAMAGE.values(), ids=DAMAGE)
def damage(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """What can happen to a file while nobody looks."""
    return request.param  # type: ignore[no-any-return]


def damaged(path: Path) -> list[Path]:
    return list(path.parent.glob("ledger-damaged-*.db"))


def is_locked(ledger: SqlLedger) -> bool:
    """Apps with a budget are refused, those without one are not."""
    ledger.reserve(hold(f"free{time.monotonic_ns()}:1", 0), [])
    return refuses(ledger, code="ledger_locked")


def test_restored(
    used: SqlLedger, path: Path, events: Recorder, reopen: Reopen, damage: Callable[[Path], None]
) -> None:
    """A broken ledger is set aside, the last copy stands in for it, and budgets wait for the owner's word."""
    used.back_up_daily()
    used.close(settled("running0:1", 7))
    used.stop()
    damage(path)
    broken = path.read_bytes() if path.exists() else None

    ledger = reopen()

    assert Sums(settled=5_000, held=4_000, unsettled=4_000, outside=0) == ledger.sums()
    assert is_locked(ledger)
    assert ledger.state().locked is not None
    assert ["ledger.restored"] == [each for each in events.told if each != "ledger.recovered"]
    assert "ledger-backup-20270115.db" == events.of("ledger.restored")[0]["backup"]
    assert [broken] == ([each.read_bytes() for each in damaged(path)] or [None])
    ledger.accept()
    ledger.reserve(hold("accepted:1"), BUDGET)
    assert ledger.state().locked is None


def test_lock_outlives_restarts(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """Only the owner's word opens the budgets again, no restart does."""
    used.back_up_daily()
    used.stop()
    garbage_at_the_beginning(path)
    for _ in range(3):
        ledger = reopen()
        assert is_locked(ledger)
        ledger.back_up_daily()
        ledger.stop()
    reopen().accept()

    assert not refuses(reopen())


def test_nothing_to_restore(used: SqlLedger, path: Path, reopen: Reopen, events: Recorder) -> None:
    """Without a copy a new ledger begins, never in silence: budgets wait, and what is left is kept."""
    used.stop()
    garbage_in_the_middle(path)

    ledger = reopen()

    assert Sums(0, 0, 0, 0) == ledger.sums()
    assert is_locked(ledger)
    assert 1 == len(damaged(path))
    assert [None] == [each["backup"] for each in events.of("ledger.restored")]
    ledger.stop()
    path.unlink()
    assert is_locked(reopen())


def test_broken_copies(used: SqlLedger, path: Path, reopen: Reopen, clock: FakeClock) -> None:
    """The copy that is put back is the last one that is whole."""
    for spoil in (None, garbage_in_the_middle, emptied):
        used.back_up_daily()
        if spoil is not None:
            spoil(Path(path.with_name(str(used.state().last_backup))))
        used.reserve(hold(f"{clock.time}:1", 0), [])
        clock.time += DAY
    used.stop()
    garbage_at_the_beginning(path)

    assert ALL.settled == reopen().sums().settled
    assert 504 == reopen().state().attempts


def test_no_room_to_restore(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """When restoring fails half-way, the next start does it: never an unlocked ledger, never an empty one."""
    used.back_up_daily()
    used.stop()
    garbage_at_the_beginning(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 4096, 65_536):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            with pytest.raises(Unavailable):
                reopen()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    ledger = reopen()

    assert ALL.settled == ledger.sums().settled
    assert is_locked(ledger)


@pytest.mark.parametrize("spoil", [garbage_at_the_beginning, garbage_in_the_middle, cut_in_half, emptied])
def test_large_and_broken(
    used: SqlLedger, path: Path, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None]
) -> None:
    """A ledger that is too large to be read through at each start is restored once the damage is met."""
    monkeypatch.setattr(database, "_CHECKED_UP_TO", 0)
    used.back_up_daily()
    used.stop()
    spoil(path)

    ledger = reopen()

    def is_restored() -> bool:
        with suppress(Unavailable):
            ledger.faults()
            return is_locked(ledger)
        return False

    assert comes_true(is_restored)
    assert ALL.settled == ledger.sums().settled


@pytest.mark.parametrize("spoil", [garbage_at_the_beginning, garbage_in_the_middle, cut_in_half, emptied, no_database])
def test_broken_while_running(
    used: SqlLedger, path: Path, events: Recorder, spoil: Callable[[Path], None], impatient: None
) -> None:
    """Whoever first meets the damage, the copy is put back under way and budgets wait; nothing is half written."""
    used.back_up_daily()
    merge_log(path)
    spoil(path)

    def is_restored() -> bool:
        for use in (used.open, used.sums, lambda: used.reserve(hold(f"{time.monotonic_ns()}:1", 0), [])):
            with suppress(Unavailable):
                use()
        return "ledger.restored" in events.told

    assert comes_true(is_restored)
    used.close(settled("running0:1", 7))
    used.flush()
    assert is_locked(used)
    assert 5_007 == used.sums().settled
    assert used.faults() is None
    used.accept()
    assert not refuses(used)


# L7: removed or exchanged


@pytest.mark.parametrize("also", [(), ("-wal",), ("-wal", "-shm")], ids=["alone", "with its log", "with all"])
def test_removed_while_running(used: SqlLedger, path: Path, events: Recorder, also: tuple[str, ...]) -> None:
    """A ledger that is removed under the gateway is written out again, and nothing is lost, whoever looks meanwhile."""
    for end in ("", *also):
        Path(f"{path}{end}").unlink()
    for look in (used.open, used.sums, used.state, used.back_up_daily):
        with pytest.raises(Unavailable):
            look()
    assert not path.exists()

    used.close(settled("running0:1", 7))
    used.reserve(hold("after:1"), BUDGET)

    assert Sums(settled=5_007, held=4_000, unsettled=1_000, outside=0) == used.sums()
    assert ["ledger.put_back"] == events.told
    assert (None, None) == (used.faults(), used.state().locked)
    assert not refuses(used)


def test_removed_and_stopped(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """It is put back at the latest when the gateway stops."""
    path.unlink()

    used.stop()

    again = reopen()
    assert (5_000, None) == (again.sums().settled, again.state().locked)


def test_log_removed(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """Also a removed write-ahead log takes nothing with it: the next write makes the ledger whole."""
    Path(f"{path}-wal").unlink()
    Path(f"{path}-shm").unlink()
    used.reserve(hold("after:1"), BUDGET)
    let_go = crash(used)

    again = reopen()
    let_go()

    assert Sums(settled=5_000, held=5_000, unsettled=5_000, outside=0) == again.sums()
    assert again.faults() is None


def test_removed_without_room(used: SqlLedger, path: Path) -> None:
    """While there is no room to write it out again, what was removed is not let go of."""
    path.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
        assert refuses(used)
        assert refuses(used)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    used.reserve(hold("after:1"), BUDGET)

    assert Sums(settled=5_000, held=5_000, unsettled=1_000, outside=0) == used.sums()
    assert used.state().locked is None


def test_folder_away(used: SqlLedger, path: Path) -> None:
    """A state folder that is not there is waited for; nothing is made up in its place."""
    away = path.parent.with_name("away")
    path.parent.rename(away)
    assert refuses(used)
    used.close(settled("running0:1", 7))
    assert not path.parent.exists()
    away.rename(path.parent)

    used.reserve(hold("after:1"), BUDGET)

    assert (5_007, None) == (used.sums().settled, used.state().locked)


def test_crash_while_putting_back(used: SqlLedger, path: Path, reopen: Reopen) -> None:
    """Whatever the moment of a crash, what was written out beforehand is the ledger."""
    path.unlink()
    with used._writer._turn:
        connection = used._writer._connection
        assert connection is not None
        used._database._write_out(connection, used._database._kept)
    crash(used)()

    again = reopen()

    assert (5_000, None) == (again.sums().settled, again.state().locked)


def test_exchanged_while_running(used: SqlLedger, path: Path, events: Recorder, tmp_path: Path) -> None:
    """Another file in the ledger's place counts from now on, budgets wait, and what was here before is kept."""
    other = opened(tmp_path / "other.db")
    other.reserve(hold("theirs:1", 123), [])
    other.stop()
    shutil.move(tmp_path / "other.db", path)

    used.reserve(hold("after:1", 0), [])

    assert {"theirs:1", "after:1"} == {attempt.attempt_id for attempt in used.open()}
    assert is_locked(used)
    (kept,) = path.parent.glob("ledger-exchanged-*.db")
    assert 504 == len(rows(kept))
    assert ["ledger.exchanged"] == events.told
    used.accept()
    assert not refuses(used)


def test_exchanged_and_locked(used: SqlLedger, path: Path, tmp_path: Path, impatient: None) -> None:
    """A file that was put here and cannot be written at first is not taken for the ledger later either."""
    used.backup(tmp_path / "copy.db")
    shutil.move(tmp_path / "copy.db", path)
    with locked_by_another(path):
        assert refuses(used)

    assert is_locked(used)


def test_exchanged_for_a_newer_one(used: SqlLedger, path: Path, tmp_path: Path) -> None:
    """A newer orgate's ledger in this one's place is not touched, and nothing is sent."""
    used.backup(tmp_path / "copy.db")
    changed(tmp_path / "copy.db", "UPDATE facts SET value = '99' WHERE name = 'version'")
    shutil.move(tmp_path / "copy.db", path)

    assert refuses(used)
    assert refuses(used)

    assert 504 == len(rows(path))
    assert "99" in str(used.state().trouble)


# All at once


class Workers:
    """Threads that reserve and settle, whatever happens to the ledger."""

    def __init__(self, ledger: SqlLedger, threads: int, each: int) -> None:
        self._ledger = ledger
        self._pool = ThreadPoolExecutor(threads)
        self.granted: set[str] = set()
        self.refused: set[str] = set()
        self._running = [self._pool.submit(self._work, thread, each) for thread in range(threads)]

    @property
    def tries(self) -> int:
        return len(self.granted) + len(self.refused)

    def are_done(self) -> bool:
        return all(each.done() for each in self._running)

    def wait_for(self, more: int) -> None:
        """Until so many more holds were granted or refused."""
        enough = self.tries + more
        assert comes_true(lambda: self.are_done() or self.tries >= enough, within_s=30)

    def end(self) -> None:
        for each in self._running:
            each.result(60)
        self._pool.shutdown()

    def _work(self, thread: int, each: int) -> None:
        for number in range(each):
            name = f"{thread}.{number}:1"
            try:
                self._ledger.reserve(hold(name, 10), BUDGETS)
            except Unavailable:
                self.refused.add(name)
            else:
                self.granted.add(name)
                self._ledger.close(ambiguous(name))
                self._ledger.close(settled(name, 3))


def test_all_at_once(ledger: SqlLedger, path: Path, tmp_path: Path, impatient: None) -> None:
    """Whatever happens to the file while calls go on: what was granted is settled once, and nothing else is there."""
    workers = Workers(ledger, threads=8, each=300)
    faults = 0
    while not workers.are_done():
        match faults % 5:
            case 0:
                with hampered(ledger, READ_ONLY):
                    workers.wait_for(40)
            case 1:
                path.unlink()
            case 2:
                path.parent.rename(tmp_path / "away")
                workers.wait_for(40)
                (tmp_path / "away").rename(path.parent)
            case 3:
                with locked_by_another(path):
                    workers.wait_for(10)
            case 4:
                Path(f"{path}-wal").unlink()
        faults += 1
        workers.wait_for(60)
    workers.end()
    ledger.flush()

    assert faults >= 5
    assert workers.refused
    assert {(name, "settled", 3) for name in workers.granted} == {
        (row["id"], row["state"], row["cost"]) for row in rows(path)
    }
    assert Sums(3 * len(workers.granted), 0, 0, 0) == ledger.sums()
    assert (None, None, None) == (ledger.faults(), ledger.state().locked, ledger.state().trouble)


# Through the gateway


def posts(gateway: Gateway) -> int:
    return sum(entry["method"] == "POST" for entry in gateway.sandbox.log())


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("pragma", [READ_ONLY, FULL], ids=["read-only", "full"])
def test_nothing_is_sent(gateway: Gateway, pragma: str, stream: bool, impatient: None) -> None:
    """What cannot be written down is not sent: 503, not to be repeated; it works again without a restart."""
    ledger = gateway.services.ledger
    assert isinstance(ledger, SqlLedger)
    token = gateway.token(budgets={"day": 10**12})
    first = gateway.chat(token=token)
    with hampered(ledger, pragma):
        if pragma == FULL:
            fills_up(ledger)
        refused = gateway.chat(token=token, stream=stream, models=["sandbox/ok", "openai/gpt-4o-mini"])
        sent = posts(gateway)
        health = gateway.request("GET", "/healthz", token=None)

    again = gateway.chat(token=token)

    assert (200, 503, 200, 204) == (first.status_code, refused.status_code, again.status_code, health.status_code)
    error = refused.json()["error"]
    assert ("ledger_unavailable", "false") == (error["code"], refused.headers["x-should-retry"])
    assert (1, 2) == (sent, posts(gateway))
    assert comes_true(
        lambda: all(row["state"] != "reserved" for row in rows(gateway.folder / "ledger.db") if row["app"] == "tester")
    )


def test_answer_outlives_the_ledger(gateway: Gateway, impatient: None) -> None:
    """An answer that has begun is delivered although its end cannot be written; it is written when it can be."""
    ledger = gateway.services.ledger
    assert isinstance(ledger, SqlLedger)
    with gateway.chat("sandbox/drip-300", stream=True) as reply:
        chunks = reply.iter_lines()
        next(chunks)
        with hampered(ledger, READ_ONLY):
            rest = list(chunks)
            assert comes_true(lambda: bool(ledger._writer._jobs))

    assert b"data: [DONE]" in rest
    billed = [json.loads(line[6:]) for line in rest if line.startswith(b"data: {")][-1]["usage"]["cost"]
    assert comes_true(lambda: not ledger.open())
    assert round(billed * 10**9) == ledger.sums().settled
