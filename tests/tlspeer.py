"""A TLS peer on loopback that answers every request alike, and ends connections when it likes."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class TlsPeer:
    """Answers every request; closes a connection on which nothing comes for `idle_s`. TLS 1.3, with its tickets."""

    def __init__(self, signed: Path, key: Path, idle_s: float) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(signed, key)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.idle_s = idle_s
        self.greeting = b""
        """What it says on a new connection without being asked."""
        self.shook_hands = 0
        self.open: set[ssl.SSLSocket] = set()
        self.greeted: set[ssl.SSLSocket] = set()
        self.asked: list[int] = []
        """Of each request, on which connection it came, counted from 1."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as connection:
            self.shook_hands += 1
            number, greeting = self.shook_hands, self.greeting
            if greeting:
                self.greeted.add(connection)
            self.open.add(connection)
            try:
                connection.settimeout(self.idle_s)
                connection.sendall(greeting)
                while connection.recv(65536):
                    self.asked.append(number)
                    connection.sendall(_OK)
            finally:
                self.open.discard(connection)

    def hang_up(self) -> None:
        """End every connection there is."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
