"""Moving windows in memory, as a storage of the limits library's."""

from __future__ import annotations

import threading
import time
from collections import deque

from limits.storage import MovingWindowSupport, Storage


class WindowStorage(Storage, MovingWindowSupport):
    """
    The moments of the requests that still count, oldest first, for each app and kind.

    The library's own memory starts a thread to forget what is old, and shifts the whole list for every request; here
    each request forgets what has grown old before it.
    """

    STORAGE_SCHEME = ["orgate"]

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **_: float | str | bool) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._lock = threading.Lock()
        self._windows: dict[str, deque[float]] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count so many more requests unless there would be more than `limit` in `expiry` seconds."""
        with self._lock:
            now = time.time()
            window = self._current(key, now - expiry)
            if len(window) + amount > limit:
                return False
            window.extend([now] * amount)
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest request that counts came, in seconds since 1970, and how many count."""
        with self._lock:
            now = time.time()
            window = self._current(key, now - expiry)
            return (window[0], len(window)) if window else (now, 0)

    def _current(self, key: str, since: float) -> deque[float]:
        window = self._windows.setdefault(key, deque())
        while window and window[0] < since:
            window.popleft()
        return window

    def clear(self, key: str) -> None:
        """Forget the requests under this key."""
        with self._lock:
            self._windows.pop(key, None)

    def reset(self) -> int | None:
        """Forget everything; how many keys that were."""
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
        return count

    def check(self) -> bool:
        """Memory is always there."""
        return True

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """None of its own."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Fixed windows are not kept here."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """As above."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """As above."""
        raise NotImplementedError
