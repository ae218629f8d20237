"""A call under way: the attempt it is in, how it may be ended from outside, and what is known of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from app.core.attempts import Phase, Tried
from app.core.calls import Call
from app.core.errors import GatewayError, Left, TimedOut, Unavailable
from app.core.frozen import frozen
from app.core.ledger import Hold
from app.core.meter import Reading
from app.core.ports import Attempt, Clock, Peer
from app.services.company import Company

_SHORTEST_TRY_S, _LONGEST_TRY_S = 0.2, 120.0
"""Between these a sender's system waits until it tries again (Linux); a shorter pause holds nobody up."""


@frozen
class Clocks:
    """How long each part of a call may take, in seconds."""

    plain: float
    """For a plain answer, from its first byte to its last."""
    first_content: float
    idle: float
    total: float


class Run:
    """One call from its beginning to its report. Its own threads drive it; the watch and the drain may end it."""

    def __init__(self, call: Call, peer: Peer, clocks: Clocks, clock: Clock) -> None:
        self.call = call
        self.peer = peer
        self.clocks = clocks
        self.deadline = call.started + clocks.total
        self.reading = Reading()
        self.asked: tuple[str, ...] = ()
        """The model of every attempt, the present one included."""
        self.history: tuple[Tried, ...] = ()
        """The attempts that are over and gave no answer."""
        self.waited_s = 0.0
        """Seconds spent waiting for OpenRouter."""
        self.first_byte_s: float | None = None
        self.attempts = 0
        """How many were sent, or were about to be."""
        self.company: Company | None = None
        """Who talks to the app as long as it waits for a stream to begin."""
        self.begun = False
        """Whether an attempt was entered: from then on it may have been sent, and so be billed."""
        self._clock = clock
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None
        self._why: GatewayError | None = None
        self._hold: Hold | None = None
        self._is_reported = False
        self._attempt: Attempt | None = None
        self._began = 0.0
        self._silent_at: float | None = None
        self._silence = ""
        self._stopped_at = self._held_s = self._late_until = self._grace_s = 0.0
        self._left_s: float | None = None
        self._sent_at: float | None = None
        self._silenced: str | None = None

    @property
    def id(self) -> str:
        """The call's id."""
        return self.call.id

    @property
    def left_s(self) -> float:
        """What is left of the call's time."""
        return self.deadline - self._clock.monotonic()

    def enter(self, attempt: Attempt, model: str) -> None:
        """From now on ending the run ends this attempt; raises what ended it when that has happened already."""
        with self._lock:
            if self._why is not None:
                raise self._why
            self._attempt = attempt
            self.begun = True
            self._began = self._clock.monotonic()
            self._silent_at = self._silenced = self._sent_at = None
            if self.asked:
                self.reading = Reading()
            self.asked = (*self.asked, model)

    def answered_by(self, hold: Hold) -> bool:
        """The attempt with this hold gives the answer; False when the call was reported already, without it."""
        with self._lock:
            self._hold = hold
            return not self._is_reported

    def report(self) -> Hold | None:
        """The call is being reported: the hold of the attempt that answered it, to be settled now."""
        with self._lock:
            self._is_reported = True
            return self._hold

    def expect(self, within_s: float, code: str) -> None:
        """Something of use must come within so many seconds, or the attempt is cancelled for this reason."""
        self._silence = code
        # In this order: the watch may look in between.
        self._silent_at = self._clock.monotonic() + within_s
        self._grace_s = 0.0

    def sent(self) -> None:
        """The request of the attempt is out, all of it."""
        self._sent_at = self._clock.monotonic()
        self.peer.waits()

    def left_of(self, seconds: float) -> float:
        """What is left of so many seconds that run from when the request was sent; all while it is being sent."""
        return seconds if self._sent_at is None else max(0.0, self._sent_at + seconds - self._clock.monotonic())

    def stop_clock(self) -> None:
        """Nothing is expected while the app reads."""
        with self._lock:
            silent_at, self._silent_at = self._silent_at, None
        self._stopped_at = self._clock.monotonic()
        self._left_s = None if silent_at is None else silent_at - self._stopped_at

    def start_clock(self) -> None:
        """
        Go on where the clock was stopped, and wait for as long again as the app let OpenRouter wait.

        A sender that was not let send tries again at intervals that double (RFC 6298, 5.5; RFC 9293, 3.8.6.1), so that
        it may be late by as much as it was held up. Another pause before that time is over is counted with this one.
        """
        now = self._clock.monotonic()
        paused_s = now - self._stopped_at
        if self._stopped_at > self._late_until:
            self._held_s = 0.0
        if paused_s >= _SHORTEST_TRY_S:
            self._held_s = min(self._held_s + paused_s, _LONGEST_TRY_S)
            self._late_until = now + self._held_s
        self._grace_s = self._held_s
        if self._left_s is not None:
            self._silent_at = now + self._left_s

    def relax(self) -> None:
        """Nothing is expected any more."""
        self._silent_at = None

    def wait(self, seconds: float) -> None:
        """Sleep, unless the run is ended meanwhile: then raise why."""
        if seconds > 0:
            self.peer.waits()
            with self._lock:
                ended = self._ended = threading.Event()
                if self._why is not None:
                    ended.set()
            ended.wait(seconds)
        if self._why is not None:
            raise self._why

    def end(self, why: GatewayError, *, unless_begun: bool = False) -> None:
        """End the run from outside: whoever waits in it is woken and told why."""
        with self._lock:
            if self._why is not None or (unless_begun and self.begun):
                return
            self._why = why
            attempt = self._attempt
            if self._ended is not None:
                self._ended.set()
        if attempt is not None:
            attempt.cancel()

    def tick(self) -> None:
        """Look after the run, from the watch: has the app left or stopped reading, is some time up?"""
        if not (self.call.lasting and self.begun) and self.peer.left():
            self.end(Left("The app closed the connection."), unless_begun=self.call.lasting)
        elif self.peer.stalled():
            self.end(Left("The app has read nothing for a minute."))
            self.peer.cut()
        elif self.left_s <= 0:
            self.end(TimedOut("The call's time is up (X-Orgate-Timeout, ORGATE_TIMEOUT_TOTAL).", code="call_timeout"))
        else:
            self._end_silence()
            if self.company is not None and not self.company.tick():
                self.end(Left("The app closed the connection."))

    def _end_silence(self) -> None:
        with self._lock:
            if self._silent_at is None or self._clock.monotonic() <= self._silent_at + self._grace_s:
                return
            self._silenced, self._silent_at = self._silence, None
            silent = self._attempt
        if silent is not None:
            silent.cancel()

    def seen(self, error: GatewayError) -> GatewayError:
        """What an error that came out of the attempt really was: it may have been cancelled from here."""
        if error.code != "cancelled":
            return error
        if self._why is not None:
            return self._why
        if self._silenced is not None:
            return TimedOut(
                "OpenRouter sent nothing of use for too long. The call may have been carried out and billed.",
                code=self._silenced,
            )
        return error

    def told(self, status: int, outcome: str) -> tuple[Mapping[str, object], ...]:
        """Every attempt, for the call's story; the last one became what the call became."""
        told = [tried.told() for tried in self.history]
        if len(self.asked) > len(told):
            seconds = round(self._clock.monotonic() - self._began, 3)
            phase = Phase.NEW if self._attempt is None else self._attempt.phase
            told.append(
                {
                    "model": self.asked[-1],
                    "status": status,
                    "reason": outcome,
                    "sent": phase >= Phase.SENT,
                    "phase": phase.name.lower(),
                    "seconds": seconds,
                }
            )
        return tuple(told)

    @property
    def is_over(self) -> bool:
        """It was ended from outside."""
        return self._why is not None


def stopping() -> GatewayError:
    """What calls are told that the gateway's end cuts off."""
    return Unavailable("The gateway was stopped before the answer was whole.", code="stopping", retry_after_s=5)
