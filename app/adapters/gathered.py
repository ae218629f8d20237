"""Tells of calls a moment after they are over, many at a time: nobody waits for a log line."""

from __future__ import annotations

import threading
from collections import deque

from app.adapters.lookout import Lookout
from app.core.calls import CallReport
from app.core.ports import Events

_GATHER_S = 0.01
"""So long the calls that end are gathered, to be told of together."""

_MOST = 1000
"""Who ends a call while so many wait to be told of tells of them: where the log is slow, calls wait for it."""

_END_S = 5.0


class Gathered:
    """
    An Events port that passes on to another: ended calls within a moment, in a thread of its own, all else at once.

    Calls told of one after another cost half of what each would cost between two others, whose code displaces the
    log's and the metrics' in the processor's caches.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._ended: deque[CallReport] = deque()
        self._telling = threading.RLock()
        self._lookout = Lookout("orgate-events", self._look, lambda: _GATHER_S)

    def call_ended(self, report: CallReport) -> None:
        """A call is over."""
        self._ended.append(report)
        if not self._lookout.rouse() or len(self._ended) > _MOST:
            self.flush()

    def note(self, event: str, **facts: object) -> None:
        """Something worth an info line happened."""
        self.flush()
        self._events.note(event, **facts)

    def warn(self, event: str, **facts: object) -> None:
        """Something the owner should know happened."""
        self.flush()
        self._events.warn(event, **facts)

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Our own code failed."""
        self.flush()
        self._events.broke(event, error, **facts)

    def debug(self, event: str, **facts: object) -> None:
        """A detail, which may overtake the calls."""
        self._events.debug(event, **facts)

    def flush(self) -> None:
        """Return when every call that is over has been told of."""
        with self._telling:
            while self._ended:
                self._events.call_ended(self._ended.popleft())

    def stop(self) -> None:
        """Tell of what is left, for up to some seconds where nobody reads it; what comes after is told of at once."""
        self._lookout.stop()
        if self._telling.acquire(timeout=_END_S):
            self._telling.release()
            self.flush()

    def _look(self) -> bool:
        has_some = bool(self._ended)
        self.flush()
        return has_some
