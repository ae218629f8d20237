"""
Calls are begun one after another, in the order they came.

Threads that all begin at once take the interpreter from each other at every system call, so that all of them are late;
and the pump, one thread among so many, leaves the streams waiting that run already.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

_LONG_S = 0.005


class Turn:
    """The right to begin, until it is over."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _LONG_S
        self._lock = threading.Lock()
        self._lock.acquire()

    def over(self) -> None:
        """Another call may begin; to say it twice does no harm."""
        with suppress(RuntimeError):
            self._lock.release()

    def await_end(self) -> None:
        """Wait until it is over, or has taken long."""
        self._lock.acquire(timeout=max(0.0, self._until - time.monotonic()))


class Turns:
    """Gives out turns."""

    def __init__(self) -> None:
        self._line = threading.Lock()
        self._last: Turn | None = None

    def take(self) -> Turn:
        """
        The next turn, once the one before is over.

        Who has it for more than five milliseconds waits for something, and holds nobody up any longer.
        """
        with self._line:
            if self._last is not None:
                self._last.await_end()
            turn = self._last = Turn()
            return turn
