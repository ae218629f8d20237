"""The sandbox as a server that can be started and stopped within a program."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from app.sandbox import routes
from app.sandbox.backend import Backend
from app.sandbox.handler import Handler
from app.sandbox.wire import Json

_POLL_S = 0.05
_JOIN_S = 5.0


class Listener(ThreadingHTTPServer):
    """Accepts connections and can end all of them at once."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], backend: Backend) -> None:
        self.backend = backend
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without looking up the machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, known from the start so that none is missed at the end."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._open[request] = thread
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end and forget it."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that vanish are ordinary; anything else is a fault of the sandbox and is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError) and not self.backend.stopping.is_set():
            super().handle_error(request, client_address)

    def end_all(self) -> None:
        """End every connection and wait for the threads that served them."""
        with self._lock:
            found = list(self._open.items())
        for connection, _ in found:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for _, thread in found:
            thread.join(_JOIN_S)


class Sandbox:
    """
    An OpenRouter stand-in on a port of its own.

    `interval_s` is the pause between two words of a stream; port 0 takes any free one, and the socket is bound by
    `start`. `url` is what to give a client as its base URL.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, interval_s: float = 0.015) -> None:
        self.host = host
        self.backend = Backend(interval_s)
        self._port = port
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on; the wished one before `start`."""
        return self._listener.server_port if self._listener else self._port

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, as `https://openrouter.ai/api/v1` would be."""
        return self.origin + routes.BASE

    def start(self) -> Self:
        """Bind and serve in the background; it answers when this returns."""
        self._listener = Listener((self.host, self._port), self.backend)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_POLL_S,), name="sandbox", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """End everything at once, sleeping answers included; harmless when not running."""
        listener, thread = self._listener, self._thread
        if listener is None or thread is None:
            return
        self._port = listener.server_port
        self.backend.stopping.set()
        listener.shutdown()
        thread.join(_JOIN_S)
        listener.server_close()
        listener.end_all()
        self._listener = self._thread = None
        self.backend.stopping.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """The requests seen with a number above `after`, as `GET /_sandbox/log` tells them."""
        return self.backend.journal.rows(after)

    def wait_until(self, holds: Callable[[list[dict[str, Any]]], bool], timeout_s: float = 5.0) -> bool:
        """Whether `holds(log)` became true within the time."""
        return self.backend.journal.wait_until(holds, timeout_s)

    def bill(self) -> Json:
        """What was charged, as `GET /_sandbox/bill` tells it."""
        return self.backend.account.bill()

    def account(self, **changes: Any) -> Json:
        """The account after these changes, as `POST /_sandbox/account` tells it."""
        return self.backend.account.change(changes)

    def reset(self) -> None:
        """Forget requests and charges, restore the account."""
        self.backend.journal.clear()
        self.backend.account.reset()
