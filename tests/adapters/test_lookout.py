from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import pytest

from app.adapters import lookout
from app.adapters.lookout import Lookout

SOON_S = 5.0


class Desk:
    """Work that lies on a desk, a lookout that does it, and how often that has looked."""

    def __init__(self) -> None:
        self.work: deque[str] = deque()
        self.done: list[str] = []
        self.looked = threading.Condition()
        self.looks = 0
        self.on_look = lambda: None
        self.lookout = Lookout("orgate-desk", self._look, lambda: 0.001)

    def add(self, work: str) -> bool:
        """Leave this on the desk."""
        self.work.append(work)
        return self.lookout.rouse()

    def wait(self, looks: int) -> bool:
        """Whether it has looked so often, which is waited for."""
        with self.looked:
            return self.looked.wait_for(lambda: self.looks >= looks, SOON_S)

    def _look(self) -> bool:
        found = bool(self.work)
        while self.work:
            self.done.append(self.work.popleft())
        self.on_look()
        with self.looked:
            self.looks += 1
            self.looked.notify_all()
        return found


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(lookout, "_LOOKS", 3)
    desk = Desk()
    yield desk
    desk.on_look = lambda: None
    desk.lookout.stop()


def test_rests(desk: Desk) -> None:
    """It looks a few times more than there is something to do, and is woken when there is something again."""
    desk.add("one")
    # One that finds it, three that find nothing, and the last, when nobody need wake it any more.
    assert desk.wait(5)
    assert not desk.lookout._wanted.is_set()

    desk.add("two")
    assert desk.wait(6)
    assert ["one", "two"] == desk.done


def test_what_comes_just_before_it_rests(desk: Desk) -> None:
    """What is left on the desk after the last look, and wakes nobody since it is still awake, is done all the same."""
    late = ["four", "five"]

    def come_late() -> None:
        # After the third look that found nothing, while it counts as awake.
        if desk.looks == 3 and late:
            desk.work.append(late.pop(0))
        if desk.looks == 4 and late:
            desk.work.append(late.pop(0))

    desk.on_look = come_late
    desk.add("one")

    assert desk.wait(9)
    assert ["one", "four", "five"] == desk.done


def test_stop(desk: Desk) -> None:
    """It ends what it does, and does nothing after that."""
    begun, go_on = threading.Event(), threading.Event()

    def dawdle() -> None:
        begun.set()
        assert go_on.wait(SOON_S)

    desk.on_look = dawdle
    desk.add("one")
    assert begun.wait(SOON_S)
    stopper = threading.Thread(target=desk.lookout.stop)
    stopper.start()
    go_on.set()
    stopper.join(SOON_S)

    assert not stopper.is_alive()
    assert desk.lookout.is_stopped
    assert not desk.add("two")
    assert "orgate-desk" not in [thread.name for thread in threading.enumerate()]


def test_never_begun(desk: Desk) -> None:
    """After its end nobody looks, and whoever leaves something is told so."""
    desk.lookout.stop()

    assert not desk.add("one")
    assert [] == desk.done


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failure(desk: Desk) -> None:
    """A look that fails ends its thread; the next who leaves something has it done by another."""

    def fail() -> None:
        desk.on_look = lambda: None
        raise MemoryError

    desk.on_look = fail
    desk.add("one")
    [thread] = [thread for thread in threading.enumerate() if thread.name == "orgate-desk"]
    thread.join(SOON_S)

    assert desk.add("two")
    assert desk.wait(1)
    assert ["one", "two"] == desk.done


def test_no_thread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread whoever leaves something is told so; the next one has it done with his own."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        assert not desk.add("one")

    assert desk.add("two")
    assert desk.wait(1)
    assert ["one", "two"] == desk.done
