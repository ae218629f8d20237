"""A server around one WSGI application, and a connection to it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from app.server import Server

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


@contextmanager
def serving(application: Application) -> Iterator[http.client.HTTPConnection]:
    """The application served, with a connection that speaks HTTP/1.1."""
    server = Server(application, "127.0.0.1", 0, calls=4)
    server.start()
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            yield connection
    finally:
        server.close(lambda _: 0, 0.1)
