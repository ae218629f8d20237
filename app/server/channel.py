"""What waitress does for each connection, with fewer system calls and without a thread for each running stream."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask
from waitress.utilities import build_http_date

from app.server.loop import Open
from app.server.pump import Carried, Flow, Pump
from app.server.turns import Turn

_MOST_WAITING = 256 * 1024
"""Bytes. For whom so many wait, no more are read from OpenRouter until some are taken."""


_http_date = lru_cache(2)(build_http_date)

_WAITRESS_TELLS = frozenset({"date", "server"})
"""Headers that have waitress tell something else when an application gives them."""


class _Detached(BaseException):
    """This thread has nothing more to do for the request: the pump carries what is left of the answer."""

    def __init__(self, flow: Flow, source: int) -> None:
        super().__init__()
        self.flow = flow
        self.source = source


class _Attended:
    """A flow as waitress iterates it: in the request's own thread until it can be detached."""

    def __init__(self, flow: Any) -> None:  # a Flow that can be iterated
        self._flow = flow
        self._is_detached = False

    def __iter__(self) -> Iterator[bytes]:
        for part in self._flow:
            yield part
            source = self._flow.detach()
            if source is not None:
                self._is_detached = True
                raise _Detached(self._flow, source)

    def close(self) -> None:
        """The request's thread is done with it; who carries it on closes it."""
        if not self._is_detached:
            self._flow.close()


def attended(application: Callable[..., Any]) -> Callable[..., Any]:
    """The WSGI application with answers that leave their thread as soon as they can."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:  # WSGI's own types
        answer = application(environ, start_response)
        return _Attended(answer) if hasattr(answer, "detach") else answer

    return call


class _Task(WSGITask):
    """A request's answer, and where the pump brings what it carries of it."""

    channel: Channel
    _is_carried = False
    _failure: Exception | None = None

    def execute(self) -> None:
        """Answer, or leave the answer to the pump; when it comes back from there, see how that ended."""
        if self._failure is not None:
            raise self._failure
        if self._is_carried:
            return
        try:
            super().execute()
        except _Detached as detached:
            self._is_carried = True
            try:
                self.channel.leave_to_pump(self, detached.flow, detached.source)
            except BaseException:
                detached.flow.close()
                raise
            raise

    def build_response_header(self) -> bytes:
        """
        The answer's head, as the application gave it; after it the connection can be used again.

        waitress spells and sorts each header anew, and closes the connection after every answer in chunks. It still
        does what is unusual here: HTTP/1.0, the last answer of a connection, one without a body.
        """
        names = {name.lower() for name, _ in self.response_headers}
        if not self._is_usual() or names & _WAITRESS_TELLS:
            return super().build_response_header()
        lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in self.response_headers)]
        if self.content_length is None:
            self.chunked_response = True
            lines.append("Transfer-Encoding: chunked")
        elif "content-length" not in names:
            lines.append(f"Content-Length: {self.content_length}")
        lines += (f"Date: {_http_date(int(self.start_time))}", "", "")
        return "\r\n".join(lines).encode("latin-1")

    def _is_usual(self) -> bool:
        asked: Any = self.request  # the stubs know another one
        is_last = self.close_on_finish or asked.headers.get("CONNECTION", "").lower() == "close"
        return self.version == "1.1" and asked.command != "HEAD" and self.has_body and not is_last

    def get_environment(self) -> Any:  # WSGI's own types
        """WSGI's environment, with what the application calls when it has begun and only waits from now on."""
        environ = super().get_environment()
        environ["orgate.begun"] = self.channel.begun
        return environ

    def write(self, data: bytes) -> None:
        """Send this part, after the head if that is still to be sent: the two leave together."""
        if self.wrote_header or not data:
            super().write(data)
            return
        parts = self.channel.gather()
        try:
            super().write(data)
        finally:
            self.channel.gather_no_more()
        self.channel.write_soon(b"".join(parts))

    def is_full(self) -> bool:
        """So much waits for the app that it is given no more."""
        return bool(self.channel.connected and self.channel.total_outbufs_len > _MOST_WAITING)

    def end(self, failure: Exception | None) -> None:
        """The pump has carried all that there is."""
        self._failure = failure
        self.channel.come_back(self)


class _Doorbell:
    """The server as one of its channels sees it: its loop is woken only where there is something for it to do."""

    def __init__(self, server: Any, channel: Channel) -> None:  # waitress has no types for it
        self._server = server
        self._channel = channel

    def __getattr__(self, name: str) -> Any:  # whatever the server has
        return getattr(self._server, name)

    def pull_trigger(self) -> None:
        """The loop listens to this channel anyway, unless a request waits that came before its turn."""
        channel = self._channel
        if channel.total_outbufs_len or channel.close_when_flushed or channel.will_close or channel.requests:
            channel.doubt()
            self._server.pull_trigger()


class Channel(HTTPChannel):
    """A connection of an app's."""

    _fileno: int | None  # waitress's own

    def __init__(self, pump: Pump, server: Any, *args: Any, **kwargs: Any) -> None:  # waitress's
        self._pump = pump
        self._open: Open = kwargs["map"]
        self._turn: Turn | None = None
        self._parts: list[bytes] | None = None
        self._carried: Carried | None = None
        self._back: _Task | None = None
        super().__init__(server, *args, **kwargs)
        self.server: Any = _Doorbell(server, self)

    def task_class(self, channel: Channel, request: Any) -> _Task:  # type: ignore[override]  # waitress calls it
        """The task for a request: a new one, or the one that came back from the pump."""
        task, self._back = self._back, None
        return task or _Task(channel, request)

    def service(self) -> None:
        """Answer the oldest request; returns early when the pump has taken its answer over."""
        with contextlib.suppress(_Detached):
            super().service()

    def begin(self, turn: Turn) -> None:
        """Answer the oldest request, which is a call; it is its turn."""
        self._turn = turn
        try:
            self.service()
        finally:
            # The connection's next call may have begun already.
            if self._turn is turn:
                self._turn = None

    def begun(self) -> None:
        """The call waits for its answer."""
        turn = self._turn
        if turn is not None:
            turn.over()

    def leave_to_pump(self, task: _Task, flow: Flow, source: int) -> None:
        """The request stays the oldest one until its task comes back."""
        self._carried = self._pump.carry(flow, task, source)
        self._carried.go_on()

    def come_back(self, task: _Task) -> None:
        """Finish the request of a task that was carried."""
        self._carried, self._back = None, task
        self.service()

    def doubt(self) -> None:
        """Have the loop ask what it waits for."""
        self._open.doubt(self._fileno)

    def handle_write(self) -> None:
        """Send what waits, in the server's loop."""
        super().handle_write()
        self._moved()

    def handle_close(self) -> None:
        """The connection is over."""
        super().handle_close()
        self._moved()

    def gather(self) -> list[bytes]:
        """Where what is written from now on is kept, unsent."""
        parts = self._parts = []
        return parts

    def gather_no_more(self) -> None:
        """Send what is written from now on."""
        self._parts = None

    def write_soon(self, data: Any) -> int:  # bytes, or waitress's own buffer of a file
        """Send this as soon as the app takes it; how many bytes it is."""
        if self._parts is not None:
            self._parts.append(data)
            return len(data)
        sent = self._send_now(data) if isinstance(data, bytes) else 0
        rest = data[sent:] if sent else data
        if rest or not sent:
            super().write_soon(rest)
        return len(data)

    def _send_now(self, data: bytes) -> int:
        """How many of the bytes the app has taken at once; waitress keeps the others until it takes them."""
        with self.outbuf_lock:
            if self.total_outbufs_len or not self.connected or self.socket is None:
                return 0
            try:
                sent = self.socket.send(data)
            except OSError:
                # It takes nothing now, or is gone: waitress finds out which.
                return 0
        self.last_activity = time.time()
        return sent

    def _moved(self) -> None:
        carried = self._carried
        if carried is not None:
            carried.outlet_moved()
