"""The quota in front of every attempt, with a queue for those who would rather wait (X-Orgate-Queue)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from app.core.errors import RateLimited
from app.core.grants import Grant
from app.core.ports import Allowance, Clock, Quotas


def charge(quotas: Quotas, grant: Grant, kind: str) -> None:
    """Count one request of this kind; raises RateLimited when the app has used its quota up."""
    used_up = quotas.take(grant.app, kind, grant.quotas.get(kind))
    if used_up is not None:
        raise _used_up(used_up, kind)


def _used_up(allowance: Allowance, kind: str) -> RateLimited:
    wait_s = allowance.retry_after_s
    return RateLimited(
        f"The quota of {allowance.limit} {kind} requests is used up; try again in {wait_s} s.",
        code="quota_exceeded",
        retry_after_s=wait_s,
        should_retry=True,
    )


class Turnstile:
    """Lets the attempts of each app through in the order they came."""

    def __init__(self, quotas: Quotas, clock: Clock) -> None:
        self._quotas = quotas
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[str, deque[object]] = {}

    def enter(self, grant: Grant, queue_s: float, wait: Callable[[float], None]) -> None:
        """
        Count one attempt, after at most `queue_s` seconds in the app's queue; raises RateLimited.

        `wait` sleeps so many seconds and raises when the app has left.
        """
        if queue_s <= 0:
            self._refuse_behind_others(grant)
            charge(self._quotas, grant, "chat")
            return
        deadline = self._clock.monotonic() + queue_s
        place = self._join(grant.app)
        try:
            while not self._passes(grant, place):
                left_s = deadline - self._clock.monotonic()
                allowance = self._look(grant)
                if left_s <= 0:
                    raise _used_up(allowance, "chat")
                # The head of the line waits for the quota, the others for the head.
                at_head = self._is_head(grant.app, place)
                wait(min(left_s, 1.0, allowance.retry_after_s if at_head else 0.05))
        finally:
            self._leave(grant.app, place)

    def _refuse_behind_others(self, grant: Grant) -> None:
        if grant.app in self._lines:
            raise _used_up(self._look(grant), "chat")

    def _passes(self, grant: Grant, place: object) -> bool:
        return (
            self._is_head(grant.app, place) and self._quotas.take(grant.app, "chat", grant.quotas.get("chat")) is None
        )

    def _look(self, grant: Grant) -> Allowance:
        return self._quotas.look(grant.app, "chat", grant.quotas.get("chat"))

    def _is_head(self, app: str, place: object) -> bool:
        with self._lock:
            return self._lines[app][0] is place

    def _join(self, app: str) -> object:
        place = object()
        with self._lock:
            self._lines.setdefault(app, deque()).append(place)
        return place

    def _leave(self, app: str, place: object) -> None:
        with self._lock:
            line = self._lines[app]
            line.remove(place)
            if not line:
                del self._lines[app]
