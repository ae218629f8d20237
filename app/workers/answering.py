"""Requests that a carrier passed on, answered in the keeper."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from app.core.ports import Begin
from app.workers.lines import Line, hang_up

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

PEER = "orgate.peer"
"""Where the application finds who is at the other end."""


class LinePeer:
    """The app behind a carrier, which hangs up when the app has left or has stopped to read."""

    begin: Begin | None = None

    def __init__(self, line: Line) -> None:
        self._line = line

    def left(self) -> bool:
        """Until the answer is whole nothing comes from there but the end of the line."""
        try:
            return self._line.poll()
        except OSError:
            return True

    def stalled(self) -> bool:
        """The carrier looks after that."""
        return False

    def waits(self) -> None:
        """Nobody asks for it here."""

    def cut(self) -> None:
        """Hang up."""
        try:
            hang_up(self._line)
        except OSError:
            # It has ended by itself.
            return


def answer(application: WsgiApp, line: Line, environ: Mapping[str, str], body: bytes) -> None:
    """Have the request answered: status and headers, then each part as it comes, then None. Raises OSError."""
    whole: dict[str, Any] = {
        **environ,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        PEER: LinePeer(line),
    }

    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        # An application has parts by now that it would not let go of. What is sent next fails as well.
        with suppress(OSError):
            line.send((status, headers))
        return line.send

    parts = application(whole, start)
    try:
        for part in parts:
            if part:
                line.send(part)
        line.send(None)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
