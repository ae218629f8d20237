"""Requests that a carrier does not answer itself: passed on to the keeper, whose answer goes back as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from app.core.ports import Peer
from app.services.watch import Watch
from app.workers.answering import WsgiApp
from app.workers.lines import Line, Lines, hang_up


class Passage:
    """One request on its way to the keeper, and the answer on its way back."""

    def __init__(self, line: Line, peer: Peer, over: Callable[[Passage, Line | None], None]) -> None:
        """`over` is told when nothing more comes, with the line if it can be used again."""
        self.id = "passed"
        self._line = line
        self._peer = peer
        self._over = over
        self._lock = threading.Lock()
        self._is_whole = False
        self._is_closed = False

    def begin(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
        """Pass the request on and wait for status and headers; raises OSError and EOFError."""
        told = {name: value for name, value in environ.items() if isinstance(value, str)}
        self._line.send((told, environ["wsgi.input"].read()))
        self._peer.waits()
        status, headers = self._line.recv()
        return status, headers

    def __iter__(self) -> Passage:
        return self

    def __next__(self) -> bytes:
        try:
            part: bytes | None = self._line.recv()
        except (OSError, EOFError):
            if not self._peer.left():
                # The answer is cut, and is seen to be: its length, or the end of its chunks, is missing.
                raise
            raise StopIteration from None
        if part is None:
            self._is_whole = True
            raise StopIteration
        return part

    def close(self) -> None:
        """The app has all of it, or has left; a second time does no harm."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if not self._is_whole:
                self._line.close()
        self._over(self, self._line if self._is_whole else None)

    def tick(self) -> None:
        """Look after the app at the other end, from the watch."""
        if self._peer.stalled():
            self._peer.cut()
        if self._peer.left():
            with self._lock, suppress(OSError):
                if not self._is_closed:
                    hang_up(self._line)


class Passing:
    """The application of a carrier: its own for what it may answer, the keeper's for everything else."""

    def __init__(
        self,
        own: WsgiApp,
        lines: Lines,
        watch: Watch,
        *,
        may_answer: Callable[[dict[str, Any]], bool],
        peer_of: Callable[[dict[str, Any]], Peer],
    ) -> None:
        self._own = own
        self._lines = lines
        self._watch = watch
        self._may_answer = may_answer
        self._peer_of = peer_of
        self._changed = threading.Condition()
        self._running = 0
        self._free: list[Line] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The answer of whoever may give it (PEP 3333)."""
        return (self._own if self._may_answer(environ) else self._pass)(environ, start_response)

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until every request that was passed on has its answer, or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout_s)

    def _pass(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        passage = Passage(self._line(), self._peer_of(environ), self._over)
        with self._changed:
            self._running += 1
        try:
            self._watch.add(passage)
            start_response(*passage.begin(environ))
        except (OSError, EOFError):
            # The app has left, or the keeper has ended and this process ends as well: nobody reads it.
            passage.close()
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return ()
        except BaseException:
            passage.close()
            raise
        return passage

    def _line(self) -> Line:
        with self._changed:
            if self._free:
                return self._free.pop()
        return self._lines.new()

    def _over(self, passage: Passage, line: Line | None) -> None:
        self._watch.remove(passage)
        with self._changed:
            self._running -= 1
            if line is not None:
                self._free.append(line)
            self._changed.notify_all()
