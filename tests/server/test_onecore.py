from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from app.adapters.commands import AlertCommand
from app.core.notices import Notice
from app.server import Server, onecore
from app.server.onecore import OneCore
from tests.lab.client.lab import comes_true
from tests.services.fakes import Recorder

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores and Linux"
)

ALL: Set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


class Process:
    """One whose clocks the test moves."""

    def __init__(self) -> None:
        self.time = 100.0
        self.used = 5.0

    def core(self, number: int = 0) -> OneCore:
        return OneCore(number, used_s=lambda: self.used, now=lambda: self.time)

    def goes_on(self, seconds: float, *, share: float) -> None:
        self.time += seconds
        self.used += seconds * share


@pytest.fixture
def process() -> Iterator[Process]:
    """This one, whose threads may run anywhere again after the test."""
    yield Process()
    for thread in threading.enumerate():
        if thread.native_id is not None:
            os.sched_setaffinity(thread.native_id, ALL)


@pytest.fixture
def thread() -> Iterator[threading.Thread]:
    """One of the gateway's."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, args=(20,), name="orgate-call")
    thread.start()
    yield thread
    end.set()
    thread.join()


def cores_of(thread: threading.Thread) -> set[int]:
    """Where it may run."""
    assert thread.native_id is not None
    return os.sched_getaffinity(thread.native_id)


def test_busy_and_quiet(process: Process, thread: threading.Thread) -> None:
    """The threads of a busy process share one core, and roam again when it is quiet."""
    core = process.core()
    process.goes_on(1, share=0.2)
    core.look()
    before = cores_of(thread)
    process.goes_on(1, share=0.9)
    core.look()
    busy = cores_of(thread)
    process.goes_on(1, share=0.2)
    core.look()
    still = cores_of(thread)
    process.goes_on(1, share=0.05)
    core.look()

    assert (ALL, 1, busy, ALL) == (before, len(busy), still, cores_of(thread))


def test_looks_that_follow_closely(process: Process, thread: threading.Thread) -> None:
    """A moment tells nothing: what is called very often looks ten times a second."""
    core = process.core()
    for _ in range(9):
        process.goes_on(0.01, share=1)
        core.look()

    assert ALL == cores_of(thread)
    process.goes_on(0.02, share=1)
    core.look()
    assert 1 == len(cores_of(thread))


def test_busy_again(process: Process, thread: threading.Thread) -> None:
    """What was quiet in between stays on one core again."""
    core, seen = process.core(), []
    for share in (0.9, 0.05, 0.9):
        process.goes_on(1, share=share)
        core.look()
        seen.append(len(cores_of(thread)))

    assert [1, len(ALL), 1] == seen


def test_thread_made_meanwhile(process: Process, thread: threading.Thread) -> None:
    """One that was just being made when all were let go is let go a moment later."""
    core = process.core()
    process.goes_on(1, share=0.9)
    core.look()
    one = cores_of(thread)
    process.goes_on(1, share=0)
    core.look()
    assert thread.native_id is not None
    os.sched_setaffinity(thread.native_id, one)
    process.goes_on(1, share=0)
    core.look()

    assert ALL == cores_of(thread)


def test_other_cores_than_at_the_start(process: Process, thread: threading.Thread) -> None:
    """Where the process was confined to other cores meanwhile, that is respected."""
    core, one = process.core(), {min(ALL)}
    main = threading.main_thread().native_id
    assert main is not None
    os.sched_setaffinity(main, one)
    process.goes_on(1, share=0.9)
    core.look()

    assert ALL == cores_of(thread)
    assert one == os.sched_getaffinity(main)


def test_programs_it_starts(tmp_path: Path) -> None:
    """A program that is run for an alert may run anywhere, also where a thread that stays on one core has it run."""
    told = tmp_path / "told"
    tells = "import os, sys; open(sys.argv[1], 'w').write(str(sorted(os.sched_getaffinity(0))))"
    command = AlertCommand([sys.executable, "-c", tells, str(told)], Recorder())

    def alert() -> None:
        os.sched_setaffinity(0, {min(ALL)})
        command.tell(Notice(1, 0.0, "alert", "test", "info", {}))

    maker = threading.Thread(target=alert)
    maker.start()
    maker.join()

    assert comes_true(lambda: told.exists() and told.read_text())
    assert str(sorted(ALL)) == told.read_text()


def test_threads_that_start_programs(process: Process) -> None:
    """The threads that start programs are left where they are."""
    core, end = process.core(), threading.Event()
    starters = [threading.Thread(target=end.wait, name=name) for name in ("orgate-alerts", "orgate-carrier")]
    for each in starters:
        each.start()
    process.goes_on(1, share=1)
    core.look()
    found = [cores_of(each) for each in (*starters, threading.main_thread())]
    end.set()

    assert [ALL] * 3 == found


def test_several_processes(process: Process, thread: threading.Thread) -> None:
    """Processes that share the work take a core each, and none the first while there are others."""
    chosen = []
    for number in range(2):
        core = process.core(number)
        process.goes_on(1, share=1)
        core.look()
        chosen.append(cores_of(thread))

    assert [{sorted(ALL)[-1]}, {sorted(ALL)[-2]}] == chosen


def test_server(process: Process) -> None:
    """A server looks after the core that it is given, in its own loop."""
    looked = threading.Event()

    class Core(OneCore):
        def look(self) -> None:
            looked.set()

    server = Server(lambda *_: [], "127.0.0.1", 0, calls=1, core=Core())
    server.start()
    came = looked.wait(5)
    server.close(lambda _: 0, 0.1)

    assert came


def test_slow_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores that are much slower than others are not chosen; where the system does not tell, all are alike."""
    speeds = {0: 1024, 1: 1000, 2: 400, 3: 400}
    monkeypatch.setattr(onecore, "_speed", speeds.__getitem__)

    slower_left_out = onecore._fast(set(speeds))
    monkeypatch.setattr(onecore, "_speed", lambda _: 0)

    assert [0, 1] == slower_left_out
    assert [0, 1, 2, 3] == onecore._fast(set(speeds))


@pytest.mark.parametrize("name", ["cpu_capacity", "cpufreq/cpuinfo_max_freq"])
def test_speed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast a core is, is read where the system tells it."""
    monkeypatch.setattr(onecore, "_SYSTEM", tmp_path)
    file = tmp_path / "cpu3" / name
    file.parent.mkdir(parents=True)
    file.write_text("1024\n")

    assert (1024, 0) == (onecore._speed(3), onecore._speed(4))


def test_only_core(process: Process, thread: threading.Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one core is faster than all others there is no choice to be made, and the system makes it."""
    monkeypatch.setattr(onecore, "_speed", lambda core: 1024 if core == min(ALL) else 1)
    core = process.core()
    process.goes_on(1, share=1)
    core.look()

    assert ALL == cores_of(thread)
