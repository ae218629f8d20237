"""What a running gateway leaves for the tray, and things that answer in its place."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.gateway import Gateway
from tests.tray.builders import MARKS
from tray.settings import Settings


def settings(folder: Path, url: str | None = None, token: str | None = None) -> Settings:
    """The tray's settings for a state folder."""
    return Settings(folder, url, token, MARKS, 60.0, state_given=True)


def announce(folder: Path, base_url: str, token: str | None, pid: int | None = None) -> None:
    """Leave in a state folder what `orgate serve` leaves there."""
    folder.mkdir(exist_ok=True)
    (folder / "gateway.json").write_text(json.dumps({"base_url": base_url, "pid": pid or os.getpid()}))
    if token is not None:
        (folder / "token").write_text(f"{token}\n")


def announced(gateway: Gateway) -> Settings:
    """The settings of a tray beside this gateway, which has left its address and the owner's token."""
    announce(gateway.folder, gateway.base_url, gateway.services.office.issue("orgate", own=True)[0])
    return settings(gateway.folder)


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def deaf_server() -> Iterator[str]:
    """The address of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@dataclass
class Foreigner:
    """A web server that is no gateway, and what it was told."""

    url: str
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def foreign_server(status: int, body: str = "<html>hello</html>") -> Iterator[Foreigner]:
    """A web server that answers everything so; a 302 leads back to itself."""
    found = Foreigner("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.headers.append(dict(self.headers.items()))
            self.send_response(status)
            self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
