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
_AGAIN_S = 1.0

Begin = Callable[["Turn"], None]


class Turn:
    """The right to begin, until it is over."""

    def __init__(self, turns: Turns, begin: Begin) -> None:
        self.begin = begin
        self._turns = turns
        self._until = 0.0
        self.last(_LONG_S)

    def last(self, seconds: float) -> None:
        """Let nobody wait for longer than this from now on."""
        self._until = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """For so long others still wait for it."""
        return self._until - time.monotonic()

    def run(self) -> None:
        """Begin; at the end of it at the latest the turn is over."""
        self.last(_LONG_S)
        try:
            self.begin(self)
        finally:
            self.over()

    def over(self) -> None:
        """Another call may begin; to say it twice does no harm."""
        self._turns._over(self)


class Turns:
    """
    Gives out turns; `start` has one run in a thread. Nobody is given a thread before it is its turn.

    Where no thread can be had the call waits, and `on_failure` is told.
    """

    def __init__(
        self, start: Callable[[Callable[[], None]], None], on_failure: Callable[[Exception], None] = lambda _: None
    ) -> None:
        self._start = start
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._turn: Turn | None = None
        self._waiting: deque[Begin] = deque()

    def add(self, begin: Begin) -> None:
        """Have this begun when it is its turn."""
        with self._lock:
            if self._turn is not None:
                self._waiting.append(begin)
                return
            turn = self._turn = Turn(self, begin)
        self._give(turn)

    def go_on(self) -> float | None:
        """
        Begin the next one if the one whose turn it is has had it for more than five milliseconds.

        It waits for something then, and holds nobody up any longer. Gives the seconds after which it is to be seen to
        again; None while nobody waits.
        """
        turn = self._turn
        if turn is None or not self._waiting:
            return None
        if turn.left_s > 0:
            return turn.left_s
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
            self._give(following)

    def _give(self, turn: Turn) -> None:
        try:
            self._start(turn.run)
        except Exception as error:
            with self._lock:
                self._waiting.appendleft(turn.begin)
            # It keeps the turn, unused, until it is tried again.
            turn.last(_AGAIN_S)
            self._on_failure(error)
