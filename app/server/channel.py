"""What waitress does for each connection, with fewer system calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask


class _Task(WSGITask):
    """A request's answer: its head and the first of its body leave together."""

    channel: Channel

    def write(self, data: bytes) -> None:
        """Send this part, after the head if that is still to be sent."""
        if self.wrote_header or not data:
            super().write(data)
            return
        with self.channel.one_packet():
            super().write(data)


class _Doorbell:
    """The server as one of its channels sees it: its loop is woken only where there is something for it to do."""

    def __init__(self, server: Any, channel: HTTPChannel) -> None:  # waitress has no types for it
        self._server = server
        self._channel = channel

    def __getattr__(self, name: str) -> Any:  # whatever the server has
        return getattr(self._server, name)

    def pull_trigger(self) -> None:
        """The loop listens to this channel anyway, unless a request waits that came before its turn."""
        channel = self._channel
        if channel.total_outbufs_len or channel.close_when_flushed or channel.will_close or channel.requests:
            self._server.pull_trigger()


class Channel(HTTPChannel):
    """A connection of an app's."""

    task_class = _Task

    def __init__(self, server: Any, *args: Any, **kwargs: Any) -> None:  # waitress's own signature
        self._parts: list[bytes] | None = None
        super().__init__(server, *args, **kwargs)
        self.server: Any = _Doorbell(server, self)

    @contextlib.contextmanager
    def one_packet(self) -> Iterator[None]:
        """What is written within leaves at the end of it, in one piece."""
        parts: list[bytes] = []
        self._parts = parts
        try:
            yield
        finally:
            self._parts = None
        self.write_soon(b"".join(parts))

    def write_soon(self, data: Any) -> int:  # bytes, or waitress's own buffer of a file
        """Send this as soon as the app takes it; how many bytes it is."""
        if self._parts is None:
            return int(super().write_soon(data))
        self._parts.append(data)
        return len(data)
