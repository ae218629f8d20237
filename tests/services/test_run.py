from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app.core.attempts import Cause, Phase, Tried
from app.core.calls import Call
from app.core.chain import Plan
from app.core.errors import GatewayError, Left, TimedOut, UpstreamFailed
from app.core.grants import SCOPES, Grant
from app.core.ports import Answer
from app.core.wishes import Wishes
from app.services.company import Company
from app.services.run import Clocks, Run, stopping
from tests.services.fakes import FakeClock

SOON_S = 5.0


class FakePeer:
    """An app that leaves or stops reading when the test says so."""

    begin = None

    def __init__(self) -> None:
        self.is_gone = False
        self.is_stalled = False
        self.was_cut = False
        self.is_waiting = False

    def left(self) -> bool:
        return self.is_gone

    def stalled(self) -> bool:
        return self.is_stalled

    def waits(self) -> None:
        self.is_waiting = True

    def cut(self) -> None:
        self.was_cut = True


class Deaf(Company):
    """Company for an app that has left."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(None, dict, clock)

    def tick(self) -> bool:
        return False


class FakeAttempt:
    """Counts how often it is cancelled."""

    phase = Phase.SENT

    def __init__(self) -> None:
        self.cancelled = 0

    def send(self, on_sent: Callable[[float], None] = ..., on_connecting: Callable[[], None] = ...) -> Answer:
        raise NotImplementedError

    def cancel(self) -> None:
        self.cancelled += 1


def make_run(clock: FakeClock, peer: FakePeer | None = None, call_id: str = "req_1") -> Run:
    """A call under way that may take 100 s."""
    call = Call(
        id=call_id,
        grant=Grant("jti", "notes", frozenset(SCOPES), 0, 1),
        endpoint="/chat/completions",
        plan=Plan(("a/b", "c/d")),
        stream=True,
        raw=b"{}",
        changed=None,
        body={},
        headers={},
        wishes=Wishes(),
        started=clock.monotonic(),
    )
    return Run(call, peer or FakePeer(), Clocks(plain=20.0, first_content=10.0, idle=5.0, total=100.0), clock)


def cancelled() -> GatewayError:
    """What comes out of an attempt that was cancelled."""
    return UpstreamFailed("cancelled", code="cancelled")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def peer() -> FakePeer:
    return FakePeer()


@pytest.fixture
def run(clock: FakeClock, peer: FakePeer) -> Run:
    return make_run(clock, peer)


@pytest.fixture
def attempt() -> FakeAttempt:
    return FakeAttempt()


def test_wait(run: Run) -> None:
    """A wait that nobody ends just passes."""
    run.wait(0.001)
    run.wait(0)

    assert not run.is_over


def test_waiting_is_told(run: Run, peer: FakePeer) -> None:
    """The server hears of a wait, and of a request that is out, since it may begin another call meanwhile."""
    run.wait(0)
    before = peer.is_waiting
    run.wait(0.001)
    in_wait, peer.is_waiting = peer.is_waiting, False
    run.sent()

    assert (False, True, True) == (before, in_wait, peer.is_waiting)


class Waiter:
    """Waits in a run for a minute, in a thread, and hears why that ended."""

    def __init__(self, run: Run) -> None:
        self.heard: list[GatewayError] = []
        self.waits = threading.Event()
        self._run = run
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def end(self) -> list[GatewayError]:
        """What it has heard, waited for."""
        self._thread.join(SOON_S)
        return self.heard

    def _wait(self) -> None:
        self.waits.set()
        try:
            self._run.wait(60)
        except GatewayError as error:
            self.heard.append(error)


def test_end_wakes_a_wait(run: Run) -> None:
    """Who waits in a run is woken when it is ended, and told why."""
    why, waiter = Left("gone"), Waiter(run)
    assert waiter.waits.wait(SOON_S)
    run.end(why)

    assert [why] == waiter.end()


def test_no_wait_after_the_end(run: Run) -> None:
    """After the end nothing is waited for."""
    why = Left("gone")
    run.end(why)

    assert [why] == Waiter(run).end()


def test_end_cancels_the_attempt(run: Run, attempt: FakeAttempt) -> None:
    """Ending a run ends the attempt it is in, once; its error is then the reason of the end."""
    why = Left("gone")
    run.enter(attempt, "a/b")
    run.end(why)
    run.end(stopping())

    assert 1 == attempt.cancelled
    assert why is run.seen(cancelled())
    assert run.is_over


def test_end_spares_the_attempt_before(run: Run) -> None:
    """Only the attempt under way is ended."""
    first, second = FakeAttempt(), FakeAttempt()
    run.enter(first, "a/b")
    run.enter(second, "c/d")
    run.end(stopping())

    assert (0, 1) == (first.cancelled, second.cancelled)


def test_no_attempt_after_the_end(run: Run, attempt: FakeAttempt) -> None:
    """After the end no attempt begins, and none is counted."""
    why = stopping()
    run.end(why)

    with pytest.raises(GatewayError) as raised:
        run.enter(attempt, "a/b")
    assert why is raised.value
    assert ((), 0) == (run.asked, attempt.cancelled)


def test_silence(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """An attempt that says nothing of use in time is cancelled once, and the run goes on."""
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_silent")
    counts = []
    for later_s in (10.0, 0.1, 0.1):
        clock.time += later_s
        run.tick()
        counts.append(attempt.cancelled)
    seen = run.seen(cancelled())

    assert [0, 1, 1] == counts
    assert (TimedOut, "upstream_silent") == (type(seen), seen.code)
    assert not run.is_over


def test_sign_of_life(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """Each sign of life gives the attempt its time anew."""
    run.enter(attempt, "a/b")
    for _ in range(5):
        run.expect(10.0, "upstream_stalled")
        clock.time += 9
        run.tick()

    assert 0 == attempt.cancelled


def test_relaxed(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """When nothing is expected silence is no fault."""
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_silent")
    run.relax()
    clock.time += 50
    run.tick()

    assert 0 == attempt.cancelled


def pause(run: Run, clock: FakeClock, seconds: float) -> None:
    """The app reads nothing for so long."""
    run.stop_clock()
    clock.time += seconds
    run.tick()
    run.start_clock()


def test_app_that_pauses(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """After a pause of the app's OpenRouter may be late by as much as it was held up, and no more."""
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_stalled")
    clock.time += 4
    pause(run, clock, 20)
    clock.time += 6 + 20
    run.tick()
    before = attempt.cancelled
    clock.time += 1
    run.tick()

    assert [0, 1] == [before, attempt.cancelled]


def test_pauses_with_little_between_them(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """What was on its way during a pause comes at once, and a pause after it is counted with the first."""
    run.enter(attempt, "a/b")
    for _ in range(2):
        run.expect(10.0, "upstream_stalled")
        pause(run, clock, 20)
        clock.time += 1
    clock.time += 9 + 40
    run.tick()
    before = attempt.cancelled
    clock.time += 1
    run.tick()

    assert [0, 1] == [before, attempt.cancelled]


def test_pause_long_ago(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """A sender that has come again after a pause is expected as before it."""
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_stalled")
    pause(run, clock, 5)
    clock.time += 6
    run.expect(10.0, "upstream_stalled")
    pause(run, clock, 0)
    clock.time += 11
    run.tick()

    assert 1 == attempt.cancelled


def test_moments_without_a_clock(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """However often an app takes a moment to read, after one short pause too, OpenRouter is waited for no longer."""
    run.enter(attempt, "a/b")
    pause(run, clock, 0.5)
    for _ in range(1000):
        clock.time += 0.02
        run.expect(10.0, "upstream_stalled")
        pause(run, clock, 0.001)
    clock.time += 10.1
    run.tick()

    assert 1 == attempt.cancelled


def test_comments_after_a_pause(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """What brings nothing of use shows that the sender has come again: it gives no time, and needs none any more."""
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_stalled")
    pause(run, clock, 4)
    for _ in range(3):
        clock.time += 3
        pause(run, clock, 0)
    run.tick()
    before = attempt.cancelled
    clock.time += 1.1
    run.tick()

    assert [0, 1] == [before, attempt.cancelled]


def test_what_has_its_own_clock_after_a_pause(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """What is expected anew, without another pause, has its own time and no more."""
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_stalled")
    pause(run, clock, 20)
    run.expect(0.05, "upstream_stalled")
    clock.time += 0.1
    run.tick()

    assert 1 == attempt.cancelled


def test_patience_has_an_end(run: Run, attempt: FakeAttempt, clock: FakeClock) -> None:
    """However long an app pauses, OpenRouter is waited for two minutes longer at most."""
    run = make_run(clock)
    run.deadline += 1000
    run.enter(attempt, "a/b")
    run.expect(10.0, "upstream_stalled")
    pause(run, clock, 500)
    clock.time += 131
    run.tick()

    assert 1 == attempt.cancelled


def test_silence_before_the_first_attempt(run: Run, clock: FakeClock) -> None:
    """An expectation without an attempt ends nothing."""
    run.expect(10.0, "upstream_silent")
    clock.time += 11
    run.tick()

    assert not run.is_over


def test_silence_of_the_attempt_before(run: Run, clock: FakeClock) -> None:
    """What was expected of one attempt does not end the next, nor explain its failure."""
    first, second = FakeAttempt(), FakeAttempt()
    run.enter(first, "a/b")
    run.expect(10.0, "upstream_silent")
    clock.time += 11
    run.tick()
    run.enter(second, "c/d")
    clock.time += 50
    run.tick()
    error = cancelled()

    assert (1, 0) == (first.cancelled, second.cancelled)
    assert error is run.seen(error)


def test_expectation_of_the_attempt_before(run: Run, clock: FakeClock) -> None:
    """An expectation that was still open when the next attempt began does not end it."""
    first, second = FakeAttempt(), FakeAttempt()
    run.enter(first, "a/b")
    run.expect(10.0, "upstream_silent")
    run.enter(second, "c/d")
    clock.time += 50
    run.tick()

    assert (0, 0) == (first.cancelled, second.cancelled)


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_failures_of_other_kinds(run: Run, attempt: FakeAttempt, ended: bool) -> None:
    """An error that came by itself stays what it is."""
    run.enter(attempt, "a/b")
    if ended:
        run.end(stopping())
    error = UpstreamFailed("reset")

    assert error is run.seen(error)


def test_app_left(run: Run, peer: FakePeer, attempt: FakeAttempt) -> None:
    """When the app has left its run ends."""
    run.enter(attempt, "a/b")
    peer.is_gone = True
    run.tick()
    run.tick()

    assert 1 == attempt.cancelled
    assert "left" == run.seen(cancelled()).code
    assert not peer.was_cut


def test_app_left_in_company(run: Run, clock: FakeClock, attempt: FakeAttempt) -> None:
    """An app whose leaving shows only when something is said to it counts as one that left."""
    run.enter(attempt, "a/b")
    run.company = Deaf(clock)

    run.tick()

    assert 1 == attempt.cancelled
    with pytest.raises(Left):
        run.wait(0)


def test_app_stopped_reading(run: Run, peer: FakePeer, attempt: FakeAttempt) -> None:
    """When the app stopped reading its run ends, and its connection is closed from here."""
    run.enter(attempt, "a/b")
    peer.is_stalled = True
    run.tick()

    assert (1, True) == (attempt.cancelled, peer.was_cut)
    assert "left" == run.seen(cancelled()).code


def test_time_is_up(run: Run, clock: FakeClock, attempt: FakeAttempt) -> None:
    """When the call's time is up its run ends, also between its attempts."""
    run.enter(attempt, "a/b")
    clock.time += 99.9
    run.tick()
    before = run.is_over
    clock.time += 0.1
    run.tick()

    assert (False, True, 1) == (before, run.is_over, attempt.cancelled)
    with pytest.raises(TimedOut) as raised:
        run.wait(1)
    assert "call_timeout" == raised.value.code


def test_story(run: Run, clock: FakeClock, attempt: FakeAttempt) -> None:
    """The story tells every attempt; the one under way became what the call became."""
    tried = Tried("a/b", Cause.BROKEN, UpstreamFailed("down"), Phase.HEADERS, 2.0)
    nothing = run.told(499, "left")
    run.enter(attempt, "a/b")
    run.history = (tried,)
    between = run.told(502, "upstream_error")
    run.enter(attempt, "c/d")
    clock.time += 1.5

    assert () == nothing
    assert (tried.told(),) == between
    assert (
        tried.told(),
        {"model": "c/d", "status": 200, "reason": "answered", "sent": True, "phase": "sent", "seconds": 1.5},
    ) == run.told(200, "answered")
    assert ("a/b", "c/d") == run.asked
