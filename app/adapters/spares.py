"""
Spare connections: opened before a call needs one, so that no call waits for a TLS handshake.

A peer that closes idle connections would bring the handshake back to every call that comes a little later. While the
gateway was used lately a thread keeps one open that nobody uses, and two, half a life apart, where they do not last.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from urllib3.exceptions import HTTPError

_LOOK_S = 0.25
_LATELY_S = 180.0
"""So long after the last call there is a spare one."""

MOST = 2
"""There are never more of them."""

_FIRST_REST_S, _LONGEST_REST_S = 1.0, 60.0


class Pool(Protocol):
    """What is asked of a pool of urllib3's."""

    pool: Any
    """The queue of its idle connections, the next to be taken last; None once it was left."""

    def open_spare(self, connect_s: float) -> None:
        """Put one more connection among them; raises what urllib3 and the socket raise."""
        ...


class Spares:
    """Looks after the idle connections from the first call on; nothing that goes wrong here reaches a call."""

    def __init__(self, pool: Callable[[], Pool], connect_s: float) -> None:
        """`pool` is that of the moment: after a sleep, or when nobody could be reached, it is another one."""
        self._pool = pool
        self._connect_s = connect_s
        self._used_at: float | None = None
        self._life_s: float | None = None
        """How long the last idle connection lasted that its peer has closed."""
        self._rest_s = _FIRST_REST_S
        self._rests_until = float("-inf")
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stopped = threading.Event()

    def used(self) -> None:
        """A call goes out: more may follow."""
        self._used_at = time.monotonic()
        if self._thread is None:
            self._start()

    def begin(self) -> None:
        """A first call may come; later this does nothing."""
        if self._used_at is None:
            self.used()

    def stop(self) -> None:
        """Open no more."""
        self._stopped.set()
        thread = self._thread
        if thread is not None:
            thread.join(1)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="orgate-spares", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._is_wanted() and not self._stopped.wait(_LOOK_S):
            self._look()
        self._thread = None
        if self._is_wanted():
            # A call came between the last look and this.
            self._start()

    def _is_wanted(self) -> bool:
        return self._used_at is not None and time.monotonic() - self._used_at < _LATELY_S

    def _look(self) -> None:
        now = time.monotonic()
        try:
            pool = self._pool()
            if is_missing(self._ages(pool), self._life_s) and now >= self._rests_until:
                pool.open_spare(self._connect_s)
                self._rest_s = _FIRST_REST_S
        except (HTTPError, OSError, ValueError, http.client.HTTPException):
            # A call will find out, and say, what is wrong.
            self._rests_until = now + self._rest_s
            self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)

    def _ages(self, pool: Pool) -> list[float]:
        """How long those that would be taken next have been idle, in seconds; what is dead among them is removed."""
        ages: list[float] = []
        dead: list[Any] = []
        waiting, now = pool.pool, time.monotonic()
        if waiting is None:
            return ages
        # While the lock is held nobody can take them.
        with waiting.mutex:
            idle = waiting.queue
            for place in range(len(idle) - 1, -1, -1):
                if idle[place] is None or len(ages) == MOST:
                    break
                if idle[place].is_connected:
                    ages.append(now - idle[place].idle_since)
                else:
                    dead.append(idle.pop(place))
        for connection in dead:
            connection.close()
            self._life_s = now - connection.idle_since
        return ages


def is_missing(ages: Sequence[float], life_s: float | None) -> bool:
    """Whether another spare one is needed beside those, each so many seconds old, if they last so long."""
    if not ages:
        return True
    return life_s is not None and len(ages) < MOST and min(ages) > life_s / 2


def is_silent(sock: Any) -> bool:
    """
    Whether an idle TLS connection whose socket can be read is alive all the same.

    A peer may send what is no part of an answer, such as the tickets of TLS 1.3, which come after the handshake.
    """
    if not isinstance(sock, ssl.SSLSocket):
        return False
    before = sock.gettimeout()
    try:
        sock.settimeout(0)
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    finally:
        with suppress(OSError):
            sock.settimeout(before)
    return False
