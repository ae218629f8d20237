"""One thread that looks after all running calls."""

from __future__ import annotations

import threading
from typing import Protocol

from app.core.ports import Events

_PAUSE_S = 0.2
_IDLE_S = 30.0


class Watched(Protocol):
    """Something under way."""

    @property
    def id(self) -> str:
        """What the log calls it."""
        ...

    def tick(self) -> None:
        """Look after it: has the app left or stopped reading, is some time up?"""
        ...


class Watch:
    """Looks at every run five times a second; its thread exists while there is one to look at."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._runs: set[Watched] = set()
        self._thread: threading.Thread | None = None

    def add(self, run: Watched) -> None:
        """Look after this run; raises RuntimeError where the system gives no thread for it."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._look, name="orgate-watch", daemon=True)
                thread.start()
                self._thread = thread
            self._runs.add(run)
            if len(self._runs) == 1:
                self._changed.notify()

    def remove(self, run: Watched) -> None:
        """It is over."""
        with self._lock:
            self._runs.discard(run)

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            with self._changed:
                if not self._runs and not self._changed.wait_for(lambda: self._runs, timeout=_IDLE_S):
                    self._thread = None
                    return
            self._look_at_all()
            pause.wait(_PAUSE_S)

    def _look_at_all(self) -> None:
        # Apart from the loop, which would keep the last of them alive for as long as it rests.
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            try:
                run.tick()
            except Exception as error:
                self._events.broke("watch.broke", error, call_id=run.id)
