"""What an app hears that waits for the first content of a stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from app.core.ports import Begin, Clock

HOLD_S = 10.0
"""So long a stream's headers are held back, so that a failure can still be a real status."""

_KEEP_ALIVE_S = 5.0
_KEEP_ALIVE = b": orgate is waiting for the model\n\n"


class Company:
    """Begins the answer when its first content does not come for long, and says in comments that it still will."""

    def __init__(self, begin: Begin | None, headers: Callable[[], Mapping[str, str]], clock: Clock) -> None:
        """`headers` are those of the answer as far as they are known by then."""
        self._begin = begin
        self._headers = headers
        self._clock = clock
        self._lock = threading.Lock()
        self._write: Callable[[bytes], object] | None = None
        self._is_wanted = begin is not None
        self._due = clock.monotonic() + HOLD_S

    def tick(self) -> bool:
        """Say something if it is time, from the watch; whether the app is still there, as far as that shows."""
        if not self._is_wanted or self._clock.monotonic() < self._due:
            return True
        with self._lock:
            if not self._is_wanted or self._begin is None:
                return True
            self._due = self._clock.monotonic() + _KEEP_ALIVE_S
            if self._write is None:
                # What cannot be begun is not begun again.
                self._is_wanted = False
                self._write = self._begin("text/event-stream", self._headers())
                self._is_wanted = True
            try:
                self._write(_KEEP_ALIVE)
            except Exception:
                # Servers raise what they like for an app that has left.
                return False
            return True

    def leave(self) -> bool:
        """Say nothing from now on; whether the answer was begun."""
        with self._lock:
            self._is_wanted = False
            # They know the call, which knows this.
            self._begin, self._headers = None, dict
            return self._write is not None
