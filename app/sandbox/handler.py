"""One TCP connection: reads requests, hands them to the routes, keeps quiet when the client vanishes."""

from __future__ import annotations

import itertools
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, BinaryIO, cast

from app.sandbox import routes, wire
from app.sandbox.backend import Backend
from app.sandbox.outlet import ClientGoneError, Outlet, StoppedError
from app.sandbox.refusals import JSON_TYPE, RefusedError, error

if TYPE_CHECKING:
    from app.sandbox.server import Listener

_CONNECTIONS = itertools.count(1)


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Number the connection."""
        super().setup()
        self.connection_number = next(_CONNECTIONS)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; the journal knows."""

    def _serve(self) -> None:
        backend = cast("Listener", self.server).backend
        if self.path.startswith(routes.CONTROL):
            self._control(backend)
            return
        entry = backend.journal.open(self.command, self.path, dict(self.headers.items()), self.connection_number)
        reader = cast("BinaryIO", self.rfile)
        outlet = Outlet(self.connection, reader, backend.journal, entry, backend.stopping)
        try:
            body = self._body()
            entry.saw_body(body)
            routes.answer(self._request(body), backend, outlet)
        except RefusedError as refused:
            outlet.closes = True
            outlet.refuse(refused)
        except (ClientGoneError, ConnectionError):
            outlet.closes = True
            outlet.note("stopped" if backend.stopping.is_set() else "client_closed")
        except StoppedError:
            outlet.closes = True
            outlet.note("stopped")
        if outlet.closes:
            self.close_connection = True

    def do_GET(self) -> None:
        """Every method goes to the routes, which know what exists."""
        self._serve()

    def do_POST(self) -> None:
        """See `do_GET`."""
        self._serve()

    def do_PUT(self) -> None:
        """See `do_GET`."""
        self._serve()

    def do_PATCH(self) -> None:
        """See `do_GET`."""
        self._serve()

    def do_DELETE(self) -> None:
        """See `do_GET`."""
        self._serve()

    def do_OPTIONS(self) -> None:
        """See `do_GET`."""
        self._serve()

    def _request(self, body: bytes) -> routes.Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return routes.Request(self.command, self.path, headers, body)

    def _control(self, backend: Backend) -> None:
        status, value = routes.control(self._request(self._body()), backend)
        body = wire.dumps(value)
        self.send_response(status)
        self.send_header("Content-Type", JSON_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(iter(self._chunk, b""))
        try:
            length = int(self.headers.get("Content-Length", 0))
        except ValueError as exc:
            raise error(400, "Invalid Content-Length") from exc
        return self._exactly(length)

    def _chunk(self) -> bytes:
        try:
            size = int(self.rfile.readline().partition(b";")[0], 16)
        except ValueError as exc:
            raise ConnectionAbortedError from exc
        data = self._exactly(size)
        self.rfile.readline()
        return data

    def _exactly(self, length: int) -> bytes:
        data = self.rfile.read(length) if length > 0 else b""
        if len(data) < length:
            raise ConnectionAbortedError
        return data
