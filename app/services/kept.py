"""A value of OpenRouter's that is kept fresh: fetched once for all who ask, served old rather than not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from app.core.errors import GatewayError, TimedOut
from app.core.frozen import frozen
from app.core.ports import Cache, Clock, Events

_FORCE_PAUSE_S = 1.0
"""OpenRouter's own figures are up to 60 s old: asking more often than this tells nothing new."""

_FAILURE_PAUSE_S = 5.0
_REFRESH_FROM = 0.8
"""From this part of its life on, a value that is asked for is refreshed in the background."""

_MAX_WAIT_S = 90.0
_LOOK_S = 1.0
"""So long what was read from the cache is taken for what it holds: another process may share it."""


@frozen
class Dated:
    """A value and when it was asked for."""

    body: bytes
    fetched_at: float
    """Seconds since 1970."""
    age_s: float
    stale: bool
    """Older than its time to live, and OpenRouter could not be asked again."""


@frozen
class Found:
    """A value as it is kept."""

    name: str
    """What it is kept under."""
    fetched_at: float
    """Seconds since 1970."""
    body: bytes
    looked_at: float
    """The monotonic clock, in seconds."""


class _Flight:
    """A fetch that is under way and everybody who waits for it."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.error: GatewayError | None = None


class Kept:
    """
    One value, kept for `ttl_ms` milliseconds.

    Only good values are stored. `fetch` returns the bytes to keep or raises GatewayError; it runs in a thread of its
    own, one at a time, and everybody who asks meanwhile shares its outcome.
    """

    def __init__(
        self,
        name: Callable[[], str],
        fetch: Callable[[], bytes],
        *,
        ttl_ms: int,
        cache: Cache,
        clock: Clock,
        events: Events,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._ttl_s = ttl_ms / 1000
        self._cache = cache
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._flight: _Flight | None = None
        self._asked_at = float("-inf")
        self._failed: tuple[float, str, GatewayError] | None = None
        self._read: Found | None = None

    def get(self, *, force: bool = False, max_wait_s: float = _MAX_WAIT_S) -> Dated:
        """
        The value: fresh if it can be had, else the last good one marked stale.

        Raises GatewayError when there was never a good one, or when OpenRouter refuses the key (then an old figure
        would hide the trouble), or TimedOut after `max_wait_s` seconds.
        """
        value = self.peek()
        if value and not value.stale and not (force and self._may_force()):
            if value.age_s > self._ttl_s * _REFRESH_FROM:
                self.refresh()
            return value
        failure = self._recent_failure()
        if failure is None or (force and self._may_force()):
            failure = self._wait(self._start(), max_wait_s)
        if failure is not None and (value is None or failure.status == 401):
            raise failure
        value = self.peek() or value
        assert value is not None
        return value if failure is not None else replace(value, stale=False)

    def peek(self) -> Dated | None:
        """The last good value, however old, without asking OpenRouter."""
        found = self._look(self._name())
        if found is None:
            return None
        age_s = self._clock.now() - found.fetched_at
        # A clock that was set back would make the value immortal.
        return Dated(found.body, found.fetched_at, max(age_s, 0.0), stale=not -60 < age_s < self._ttl_s)

    def at_hand(self) -> Found | None:
        """The same as of up to a second ago, also if what it is kept under is another by now: for who asks often."""
        read = self._read
        if read is not None and self._clock.monotonic() - read.looked_at < _LOOK_S:
            return read
        return self._look(self._name())

    def _look(self, name: str) -> Found | None:
        read, now = self._read, self._clock.monotonic()
        if read is not None and read.name == name and now - read.looked_at < _LOOK_S:
            return read
        with self._lock:
            read = self._read
            if read is not None and read.name == name and not self._cache.is_shared:
                # Nobody else puts anything there.
                self._read = replace(read, looked_at=now)
                return self._read
            kept = self._cache.get(name)
            if kept is None:
                return None
            stamp, _, body = kept.partition(b"\n")
            self._read = Found(name, int(stamp) / 1000, body, now)
            return self._read

    def refresh(self) -> bool:
        """Fetch in the background unless that was done within a second, or just failed; whether it is under way."""
        if self._recent_failure() is None and self._may_force():
            self._start()
        return self._flight is not None

    def _may_force(self) -> bool:
        return self._clock.monotonic() - self._asked_at >= _FORCE_PAUSE_S

    def _recent_failure(self) -> GatewayError | None:
        failed = self._failed
        if failed is None or failed[1] != self._name() or self._clock.monotonic() - failed[0] >= _FAILURE_PAUSE_S:
            return None
        return failed[2]

    def _start(self) -> _Flight:
        with self._lock:
            if self._flight is None:
                self._flight = _Flight()
                self._asked_at = self._clock.monotonic()
                threading.Thread(target=self._fly, args=(self._flight,), name="orgate-fetch", daemon=True).start()
            return self._flight

    def _wait(self, flight: _Flight, max_wait_s: float) -> GatewayError | None:
        if not flight.landed.wait(max_wait_s):
            return TimedOut(f"OpenRouter has not answered within {max_wait_s:g} s.", should_retry=True)
        return flight.error

    def _fly(self, flight: _Flight) -> None:
        name, asked_at = "", self._clock.now()
        try:
            name = self._name()
            body = self._fetch()
            with self._lock:
                self._cache.put(name, b"%d\n%b" % (int(asked_at * 1000), body))
                self._read = None
            self._failed = None
        except GatewayError as error:
            flight.error = error
            self._failed = (self._clock.monotonic(), name, error)
            self._events.warn("cache.refresh_failed", what=name.partition(":")[0], code=error.code, status=error.status)
        except Exception as error:
            flight.error = GatewayError("The gateway failed while it asked OpenRouter.")
            self._events.broke("cache.refresh_broke", error, what=name.partition(":")[0])
        finally:
            with self._lock:
                self._flight = None
            flight.landed.set()
