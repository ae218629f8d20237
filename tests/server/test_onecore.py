from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Set

import pytest

from app.server import onecore
from app.server.onecore import OneCore

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
    yield Process()
    Process().core().roam()


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


def test_programs_it_starts(process: Process) -> None:
    """What the process starts may run anywhere: the threads that do it are left out."""
    core = process.core()
    process.goes_on(1, share=1)
    core.look()

    assert "MainThread" == threading.main_thread().name
    assert ALL == cores_of(threading.main_thread())


def test_several_processes(process: Process, thread: threading.Thread) -> None:
    """Processes that share the work take a core each."""
    chosen = []
    for number in range(2):
        core = process.core(number)
        process.goes_on(1, share=1)
        core.look()
        chosen.append(cores_of(thread))
        core.roam()

    assert 2 == len(chosen[0] | chosen[1])


def test_slow_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores that are much slower than others are not chosen; where the system does not tell, all are alike."""
    speeds = {0: 1024, 1: 1000, 2: 400, 3: 400}
    monkeypatch.setattr(onecore, "_speed", speeds.__getitem__)

    slower_left_out = onecore._fast(set(speeds))
    monkeypatch.setattr(onecore, "_speed", lambda _: 0)

    assert [0, 1] == slower_left_out
    assert [0, 1, 2, 3] == onecore._fast(set(speeds))
