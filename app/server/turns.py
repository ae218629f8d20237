"""
Calls are begun one after another, in the order they came.

Threads that all begin at once take the interpreter from each other at every system call, so that all of them are late;
and the pump, one thread among so many, leaves the streams waiting that run already.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_LONG_S = 0.005

Begin = Callable[["Turn"], None]


class Turn:
    """The right to begin, until it is over."""

    def __init__(self, turns: Turns, begin: Begin) -> None:
        self.until = time.monotonic() + _LONG_S
        self._turns = turns
        self._begin = begin

    def run(self) -> None:
        """Begin; at the end of it at the latest the turn is over."""
        try:
            self._begin(self)
        finally:
            self.over()

    def over(self) -> None:
        """Another call may begin; to say it twice does no harm."""
        self._turns._over(self)


class Turns:
    """Gives out turns; `start` has one run in a thread. Nobody is given a thread before it is its turn."""

    def __init__(self, start: Callable[[Callable[[], None]], None]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._turn: Turn | None = None
        self._waiting: deque[Begin] = deque()

    def add(self, begin: Begin) -> None:
        """Have this begun when it is its turn."""
        with self._lock:
            if self._turn is None:
                turn = self._turn = Turn(self, begin)
            else:
                self._waiting.append(begin)
                return
        self._start(turn.run)

    def patience_s(self) -> float | None:
        """
        For how long the one whose turn it is may let others wait; None when none wait.

        Who has had it for more than five milliseconds waits for something, and holds nobody up any longer: the next
        one is begun here.
        """
        if not self._waiting:
            return None
        turn = self._turn
        left_s = 0.0 if turn is None else turn.until - time.monotonic()
        if turn is None or left_s > 0:
            return left_s
        self._over(turn)
        return _LONG_S

    def _over(self, turn: Turn) -> None:
        if self._turn is not turn:
            return
        with self._lock:
            if self._turn is not turn:
                return
            following = self._turn = Turn(self, self._waiting.popleft()) if self._waiting else None
        if following is not None:
            self._start(following.run)
