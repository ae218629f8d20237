"""What waitress does for each connection, with fewer system calls and without a thread for each running stream."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

from waitress.channel import HTTPChannel

from app.server.loop import Open
from app.server.pump import Carried, Flow, Pump
from app.server.task import Detached, Task
from app.server.turns import Turn

_MOST_WAITING = 256 * 1024
"""Bytes. For whom so many wait, no more are read from OpenRouter until some are taken."""


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
        self._back: Task | None = None
        super().__init__(server, *args, **kwargs)
        self.server: Any = _Doorbell(server, self)
        self.application = server.application
        host, port = self.addr[:2]
        self.environment = {
            "REMOTE_ADDR": host,
            "REMOTE_HOST": host,
            "REMOTE_PORT": str(port),
            "SERVER_NAME": server.server_name,
            "SERVER_PORT": str(server.effective_port),
            "SERVER_SOFTWARE": "orgate",
            "SCRIPT_NAME": "",
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "waitress.client_disconnected": self.check_client_disconnected,
            "orgate.begun": self.begun,
        }
        """What WSGI's environment has of the connection, for each of its requests."""

    def task_class(self, channel: Channel, request: Any) -> Task:  # type: ignore[override]  # waitress calls it
        """The task for a request: a new one, or the one that came back from the pump."""
        task, self._back = self._back, None
        return task or Task(channel, request)

    def service(self) -> None:
        """Answer the oldest request; returns early when the pump has taken its answer over."""
        with contextlib.suppress(Detached):
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

    def leave_to_pump(self, task: Task, flow: Flow, source: int) -> None:
        """The request stays the oldest one until its task comes back."""
        self._carried = self._pump.carry(flow, task, source)
        self._carried.go_on()

    def is_full(self) -> bool:
        """So much waits for the app that it is given no more."""
        return bool(self.connected and self.total_outbufs_len > _MOST_WAITING)

    def come_back(self, task: Task) -> None:
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
