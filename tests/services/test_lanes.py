from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Callable

import pytest

from app.services import lanes
from app.services.lanes import Lane

SOON_S = 5.0


class Works:
    """A lane under a name of its own, and what became of its work."""

    def __init__(self, most: int) -> None:
        self.name = f"lane-{uuid.uuid4()}"
        self.failures: list[Exception] = []
        self.lane = Lane(self.name, most, self.failures.append)

    def threads(self) -> list[threading.Thread]:
        """The lane's threads that are alive."""
        return [thread for thread in threading.enumerate() if thread.name == self.name]

    def do(self, *works: Callable[[], object]) -> None:
        """Have all of this done, and wait for it."""
        for work in works:
            self.lane.add(lambda work=work: work() and None)  # type: ignore[misc]
        self.lane.wait_idle(SOON_S)


def fail() -> None:
    """Work that fails."""
    raise ValueError("broken")


@pytest.fixture(autouse=True)
def threads_that_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves threads behind for longer than a moment."""
    monkeypatch.setattr(lanes, "_IDLE_S", 1.5)


@pytest.fixture
def short_idle(threads_that_leave: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads without work end soon."""
    monkeypatch.setattr(lanes, "_IDLE_S", 0.02)


def test_order() -> None:
    """Work is taken in the order it came."""
    done: list[int] = []
    works = Works(1)

    works.do(*(lambda number=number: done.append(number) for number in range(50)))

    assert list(range(50)) == done
    assert 1 == len(works.threads())


@pytest.mark.parametrize("most", [1, 3])
def test_never_more_than_most(most: int) -> None:
    """No more threads are made than allowed, however much work waits, and no more work runs at once."""
    works, gate, lock = Works(most), threading.Event(), threading.Lock()
    full = threading.Event()
    running, counts = 0, []

    def work() -> None:
        nonlocal running
        with lock:
            running += 1
            counts.append(running)
            if running == most:
                full.set()
        gate.wait(SOON_S)
        with lock:
            running -= 1

    for _ in range(20):
        works.lane.add(work)
    assert full.wait(SOON_S)
    threads = len(works.threads())
    gate.set()
    works.lane.wait_idle(SOON_S)

    assert (most, most, 20) == (threads, max(counts), len(counts))


def test_no_more_threads_than_work() -> None:
    """One thread is enough for work that comes one by one."""
    works = Works(8)
    for _ in range(10):
        works.do(lambda: None)

    assert 1 == len(works.threads())


def test_failing_work() -> None:
    """Work that fails is told of and costs no thread."""
    works, seen = Works(1), []

    works.do(*[lambda: seen.append(threading.get_ident()), fail] * 5)

    assert ["broken"] * 5 == [str(error) for error in works.failures]
    assert 5 == len(seen)
    assert 1 == len(set(seen))


@pytest.mark.usefixtures("short_idle")
def test_threads_end() -> None:
    """Threads end when there is no work, and are made again when there is."""
    works, barrier = Works(3), threading.Barrier(3, timeout=SOON_S)
    works.do(*[barrier.wait] * 3)
    threads = works.threads()
    for thread in threads:
        thread.join(SOON_S)
    gone = works.threads()
    works.do(*[barrier.wait] * 3)

    assert ([], []) == (gone, works.failures)
    assert all(not thread.is_alive() for thread in threads)


@pytest.mark.usefixtures("short_idle")
def test_work_at_the_end_of_a_thread() -> None:
    """Work that comes just when a thread is about to end is not forgotten."""
    works, done, pause = Works(2), [], threading.Event()
    for number in range(60):
        works.lane.add(lambda number=number: done.append(number))  # type: ignore[misc]
        pause.wait(0.0195 + 0.00002 * number)
    works.lane.wait_idle(SOON_S)

    assert list(range(60)) == sorted(done)


def test_waiting_for_the_end() -> None:
    """Waiting ends when all is done, or when the time is up."""
    works, gate = Works(1), threading.Event()

    def hold() -> None:
        gate.wait(SOON_S)

    works.lane.wait_idle(0)
    works.lane.add(hold)
    works.lane.add(fail)
    works.lane.wait_idle(0.01)
    before = len(works.failures)
    gate.set()
    works.lane.wait_idle(SOON_S)

    assert (0, 1) == (before, len(works.failures))


def test_nothing_is_held() -> None:
    """An idle thread holds nothing of the work it did, also of work that failed."""

    class Thing:
        def work(self) -> None:
            raise ValueError("broken")

    thing, works = Thing(), Works(1)
    held = weakref.ref(thing)
    works.lane.add(thing.work)
    del thing
    works.lane.wait_idle(SOON_S)
    works.failures.clear()

    assert held() is None
    assert 1 == len(works.threads())


def test_thread_that_rested_least() -> None:
    """Work is given to the thread that rested least, so that the others can end."""
    works, barrier, seen = Works(3), threading.Barrier(3, timeout=SOON_S), []
    works.do(*[barrier.wait] * 3)
    for _ in range(10):
        works.do(lambda: seen.append(threading.get_ident()))

    assert 1 == len(set(seen))


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads the others do the work; where there is none yet the caller is told."""
    works, gate, done = Works(3), threading.Event(), []
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == works.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            works.lane.add(lambda: None)
    works.lane.add(lambda: gate.wait(SOON_S) and None)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        works.lane.add(lambda: done.append(1))
    gate.set()
    works.lane.wait_idle(SOON_S)

    assert [1] == done
    assert 0 == works.lane._load
