"""How many calls may run at once; one more is refused at once instead of made to wait."""

from __future__ import annotations

import threading

from app.core.errors import Unavailable


class Slots:
    """A fixed number of places."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = threading.BoundedSemaphore(count)

    def take(self) -> Slot:
        """A place, to be given back; raises Unavailable when all are taken."""
        if not self._free.acquire(blocking=False):
            raise Unavailable(
                f"All {self.count} places for running calls are taken (ORGATE_MAX_STREAMS). Try again in a moment.",
                code="too_many_calls",
                retry_after_s=1,
                should_retry=True,
            )
        return Slot(self._free)


class Slot:
    """One place; giving it back twice does no harm."""

    def __init__(self, free: threading.BoundedSemaphore) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._given_back = False

    def give_back(self) -> None:
        """Let the next call have the place."""
        with self._lock:
            if not self._given_back:
                self._given_back = True
                self._free.release()
