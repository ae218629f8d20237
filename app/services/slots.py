"""How many calls may run at once; one more is refused at once instead of made to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.core.errors import Unavailable


class Slots:
    """A fixed number of places."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many places calls have at this moment."""
        return self._taken

    def take(self) -> Slot:
        """A place, to be given back; raises Unavailable when all are taken."""
        with self._lock:
            if self._taken >= self.count:
                raise full(self.count)
            self._taken += 1
        return Slot(self._free)

    def _free(self) -> None:
        with self._lock:
            self._taken -= 1


class Slot:
    """One place; giving it back twice does no harm."""

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._given_back = False

    def give_back(self) -> None:
        """Let the next call have the place."""
        with self._lock:
            if not self._given_back:
                self._given_back = True
                self._free()


def full(count: int) -> Unavailable:
    """What is told of a call for which there is no place."""
    return Unavailable(
        f"All {count} places for running calls are taken (ORGATE_MAX_STREAMS). Try again in a moment.",
        code="too_many_calls",
        retry_after_s=1,
        should_retry=True,
    )
