"""Tells of calls a moment after they are over, many at a time: nobody waits for a log line."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress

from app.core.calls import CallReport
from app.core.ports import Events

_GATHER_S = 0.01
"""So long the calls that end are gathered, to be told of together."""

_LOOKS = 100
"""So often in a row nothing is found before the thread rests: to be woken by a call's end would hold the next up."""


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
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()

    def call_ended(self, report: CallReport) -> None:
        """A call is over."""
        self._ended.append(report)
        if self._stopped.is_set() or not self._has_thread():
            self.flush()
        elif not self._wanted.is_set():
            self._wanted.set()

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
        """Tell of what is left; what comes after this is told of at once."""
        self._stopped.set()
        self._wanted.set()
        with self._thread_lock:
            thread = self._thread
        if thread is not None:
            thread.join(5)
        self.flush()

    def _has_thread(self) -> bool:
        return self._thread is not None or self._has_started()

    def _has_started(self) -> bool:
        with self._thread_lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(target=self._run, name="orgate-events", daemon=True)
                # Where the system gives none, whoever ends a call tells of it.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
            return self._thread is not None

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wanted.wait()
            looks = 0
            while looks < _LOOKS and not self._stopped.wait(_GATHER_S):
                looks = 0 if self._ended else looks + 1
                self.flush()
            self._wanted.clear()
            # What ended before that has woken nobody.
            self.flush()
