"""A breaker: after failures in a row a model is let rest, and one real call at a time finds out whether it is well."""

from __future__ import annotations

from dataclasses import replace

from app.core.frozen import frozen

_FAILURES = 3
_FIRST_REST_S = 10.0
_REST_S = 20.0


@frozen
class Breaker:
    """The state of one model; every change is a new value. Times are of the monotonic clock, in seconds."""

    failures: int = 0
    rests_until: float | None = None

    def allows(self, now: float) -> bool:
        """Whether a call may be sent; once the rest is over, the next one is the probe."""
        return self.rests_until is None or now >= self.rests_until

    @property
    def is_open(self) -> bool:
        """The model failed too often and has not answered since."""
        return self.rests_until is not None

    def sent(self, now: float) -> Breaker:
        """A call goes out: while it probes an open breaker the others go on waiting."""
        return replace(self, rests_until=now + _REST_S) if self.is_open else self

    def failed(self, now: float) -> Breaker:
        """The call failed for the model's own fault."""
        failures = self.failures + 1
        # An open one has its time already: from its last failure or its last probe, whichever call this one was.
        opens = failures >= _FAILURES and not self.is_open
        return Breaker(failures, now + _FIRST_REST_S if opens else self.rests_until)

    def began(self) -> Breaker:
        """
        The model has begun to answer.

        An open breaker closes, and opens again at the next failure; what an answer that breaks off later would have
        been is not known yet, so the failures in a row stand.
        """
        return Breaker(_FAILURES - 1) if self.is_open else self

    def answered(self) -> Breaker:
        """The model answered."""
        return Breaker()
