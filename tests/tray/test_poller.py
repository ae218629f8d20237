from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.quick import quick
from tests.tray.builders import failed, reading
from tests.tray.fakes import FakeClock
from tray.clock import Clock, SystemClock
from tray.poller import LONGEST_S, Poller, pause_s
from tray.reading import Reading, Trouble

DOWN = failed(Trouble.DOWN)


class Scene:
    """A poller whose looks are written down, with the moment of each."""

    def __init__(self, clock: Clock, reading: Reading) -> None:
        self.clock, self.reading = clock, reading
        self.looks: list[float] = []
        self.forced: list[bool] = []
        self.woken = 0
        self.hurry: float | None = None
        self.signature = 0
        self.delivered: Callable[[Reading], None] = lambda _: None
        self.looking: Callable[[], None] = lambda: None
        self.poller = Poller(
            look=self._look,
            deliver=lambda one: self.delivered(one),
            woke=self._wake,
            hurry_s=lambda: self.hurry,
            signature=lambda: self.signature,
            clock=clock,
            poll_s=60.0,
        )

    def _look(self, force: bool) -> Reading:
        self.looks.append(self.clock.monotonic())
        self.forced.append(force)
        self.looking()
        return self.reading

    def _wake(self) -> None:
        self.woken += 1

    def run(self, seconds: float) -> list[float]:
        """Let so much time pass; how many seconds there were between the looks."""
        assert isinstance(self.clock, FakeClock)
        end = self.clock.steady + seconds
        while self.clock.steady < end:
            self.clock.pass_(max(self.poller.turn(), 0.001))
        return [round(later - one) for one, later in zip(self.looks, self.looks[1:], strict=False)]


@quick
@given(st.integers(0, 5000), st.floats(1, 300), st.none() | st.floats(0.5, 300))
def test_pause(misses: int, poll_s: float, hurry_s: float | None) -> None:
    """However many looks have failed, the next one is neither at once nor later than five minutes."""
    assert 0.5 <= pause_s(misses, poll_s, hurry_s) <= LONGEST_S


def test_every_minute() -> None:
    """While all is well it looks once a minute."""
    assert [60] * 9 == Scene(FakeClock(), reading()).run(599)


def test_back_off() -> None:
    """A first failure is looked at again soon, then less and less often; success brings the usual pace back."""
    scene = Scene(FakeClock(), DOWN)

    assert [5, 10, 20, 40, 80, 160, 300, 300] == scene.run(1000)
    scene.looks.clear()
    scene.reading = reading()
    assert [60, 60] == scene.run(440)[-2:]


def test_stale_figures_are_a_failure() -> None:
    """Stale figures are looked at again soon."""
    assert [5, 10] == Scene(FakeClock(), reading(stale=True)).run(16)


def test_hurry() -> None:
    """When something is waited for it looks more often."""
    scene = Scene(FakeClock(), reading())
    scene.hurry = 20.0

    assert [20, 20, 20] == scene.run(70)


def test_gateway_came_or_went() -> None:
    """That a gateway started or ended is noticed within seconds, however long the pause was."""
    scene = Scene(FakeClock(), DOWN)
    scene.run(1000)
    scene.signature = 1

    assert scene.run(5)[-1] <= 300
    assert scene.clock.monotonic() - scene.looks[-1] <= 6


def test_sleep() -> None:
    """After sleep it looks at once, and says first that the computer slept."""
    clock = FakeClock()
    scene = Scene(clock, reading())
    scene.run(10)
    clock.sleep(600)
    scene.run(1)

    assert (1, 2) == (scene.woken, len(scene.looks))


def test_sleep_during_a_look() -> None:
    """A look that the computer slept in is known for one before what it brought is judged, and is made again."""
    clock = FakeClock()
    scene = Scene(clock, DOWN)
    known: list[int] = []
    scene.delivered = lambda _: known.append(scene.woken)
    scene.looking = lambda: clock.sleep(600) if len(scene.looks) == 1 else None
    scene.run(1)

    assert [1, 1] == known


def test_slow_look_is_no_sleep() -> None:
    """A look that takes long is not taken for sleep."""
    clock = FakeClock()
    scene = Scene(clock, reading())
    scene.delivered = lambda _: clock.pass_(45)
    scene.run(300)

    assert 0 == scene.woken


def test_forced_refresh() -> None:
    """A refresh looks at once and has OpenRouter asked, once."""
    looked = threading.Semaphore(0)
    scene = Scene(SystemClock(), reading())
    scene.delivered = lambda _: looked.release()
    scene.poller.start()
    assert looked.acquire(timeout=5)
    scene.poller.refresh(force=True)
    assert looked.acquire(timeout=5)
    scene.poller.refresh()
    assert looked.acquire(timeout=5)
    scene.poller.stop()

    assert [False, True, False] == scene.forced


def test_forced_refresh_begins_anew() -> None:
    """Whoever asks for a refresh after many failures does not wait long for the next one, should it fail too."""
    looked = threading.Event()
    scene = Scene(FakeClock(), DOWN)
    scene.run(1000)
    scene.looks.clear()
    scene.delivered = lambda _: looked.set()
    scene.poller.refresh(force=True)
    scene.poller.start()
    assert looked.wait(5)
    scene.poller.stop()

    assert [5, 10] == scene.run(16)


def test_one_thread() -> None:
    """Looks, what follows them, and all that was asked for happen in the poller's one thread."""
    threads: set[int] = set()
    done = threading.Event()
    scene = Scene(SystemClock(), reading())
    scene.delivered = lambda _: threads.add(threading.get_ident())
    scene.poller.start()
    scene.poller.do(lambda: threads.add(threading.get_ident()))
    scene.poller.do(done.set)
    assert done.wait(5)
    scene.poller.stop()

    assert 1 == len(threads)
    assert threading.get_ident() not in threads


def test_ends_promptly() -> None:
    """Stopping does not wait for the next look."""
    looked = threading.Event()
    scene = Scene(SystemClock(), reading())
    scene.delivered = lambda _: looked.set()
    scene.poller.start()
    assert looked.wait(5)
    began = scene.clock.monotonic()
    scene.poller.stop()

    assert scene.clock.monotonic() - began < 1
    assert not any(thread.name == "orgate-poller" for thread in threading.enumerate())


def test_survives_what_breaks(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of our own is logged and does not end the looking."""
    looked = threading.Semaphore(0)
    scene = Scene(SystemClock(), reading())

    def deliver(_: Reading) -> None:
        looked.release()
        raise ValueError("broken on purpose")

    scene.delivered = deliver
    scene.poller.start()
    assert looked.acquire(timeout=5)
    scene.poller.do(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    scene.poller.refresh()
    assert looked.acquire(timeout=5)
    scene.poller.stop()

    assert {"tray.look_broke", "tray.job_broke"} == {record.message for record in caplog.records}
