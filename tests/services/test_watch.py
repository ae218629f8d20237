from __future__ import annotations

import os
import threading

import pytest

from app.core.errors import Left
from app.services import watch as watch_module
from app.services.run import Run
from app.services.watch import Watch
from tests.services.fakes import FakeClock, Recorder
from tests.services.test_run import FakePeer, make_run

SOON_S = 5.0
IDLE_S = 30.0


class Counted(FakePeer):
    """An app whose presence is asked for a number of times."""

    def __init__(self, enough: int = 3) -> None:
        super().__init__()
        self.asked = 0
        self.enough = enough
        self.asked_enough = threading.Event()

    def left(self) -> bool:
        self.asked += 1
        if self.asked >= self.enough:
            self.asked_enough.set()
        return super().left()


class Broken(Counted):
    """An app that cannot be looked at."""

    def left(self) -> bool:
        super().left()
        raise ValueError("broken")


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks more often."""
    monkeypatch.setattr(watch_module, "_PAUSE_S", 0.001)


@pytest.fixture
def events() -> Recorder:
    return Recorder()


@pytest.fixture
def watch(events: Recorder) -> Watch:
    return Watch(events)


def watched(watch: Watch, peer: FakePeer, call_id: str = "req_1") -> Run:
    """A run that is looked after."""
    run = make_run(FakeClock(), peer, call_id)
    watch.add(run)
    return run


def test_ticks(watch: Watch) -> None:
    """A run is looked at again and again until it is over."""
    peer = Counted(10)
    run = watched(watch, peer)
    assert peer.asked_enough.wait(SOON_S)
    watch.remove(run)
    other = Counted(10)
    other_run = watched(watch, other)
    assert other.asked_enough.wait(SOON_S)
    counted = peer.asked
    other.asked_enough.clear()
    assert other.asked_enough.wait(SOON_S)
    watch.remove(other_run)

    assert counted == peer.asked


def test_leaving_is_noticed(watch: Watch) -> None:
    """Whoever waits in a run whose app leaves is woken."""
    peer = FakePeer()
    run = watched(watch, peer)
    peer.is_gone = True

    with pytest.raises(Left):
        run.wait(SOON_S)
    watch.remove(run)


def test_tick_that_fails(watch: Watch, events: Recorder) -> None:
    """A run that cannot be looked at is told of and takes nobody's watch away."""
    broken, well = Broken(), Counted()
    runs = [watched(watch, broken, "req_1"), watched(watch, well, "req_2")]
    assert broken.asked_enough.wait(SOON_S)
    well.asked_enough.clear()
    assert well.asked_enough.wait(SOON_S)
    for run in runs:
        watch.remove(run)

    assert {"watch.broke"} == set(events.told)
    assert not runs[1].is_over


def test_one_thread(watch: Watch) -> None:
    """However many runs there are, one thread looks after them, also when they come after a pause."""
    before = threading.active_count()
    for _ in range(3):
        peers = [Counted() for _ in range(20)]
        runs = [watched(watch, peer, f"req_{number}") for number, peer in enumerate(peers)]
        assert all(peer.asked_enough.wait(SOON_S) for peer in peers)
        for run in runs:
            watch.remove(run)

    assert threading.active_count() <= before + 1
    assert watch._thread is not None
    assert watch._thread.daemon


def test_removed_twice(watch: Watch) -> None:
    """What is over may be told so twice, or without ever having begun."""
    run = make_run(FakeClock())
    watch.remove(run)
    watch.add(run)
    watch.remove(run)
    watch.remove(run)

    assert not run.is_over


@pytest.mark.long
@pytest.mark.skipif("ORGATE_LONG" not in os.environ, reason="waits for half a minute; ORGATE_LONG=1 runs it")
def test_thread_ends(watch: Watch) -> None:
    """The thread ends when there was nothing to look at for half a minute, and is made again for the next run."""
    watch.remove(watched(watch, FakePeer()))
    thread = watch._thread
    assert thread is not None
    thread.join(IDLE_S + SOON_S)
    peer = Counted()
    run = watched(watch, peer)
    assert peer.asked_enough.wait(SOON_S)
    watch.remove(run)

    assert not thread.is_alive()
