"""Connections of urllib3's that tell an attempt how far it got, and so can be cancelled at any point."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import is_connection_dropped

from app.core.attempts import Phase

_CONNECT_S = 5.0
_SEND_S = 30.0
_SLOWEST_UPLOAD = 100_000
"""Bytes per second."""


def _socket_options() -> list[tuple[int, int, int]]:
    """Small requests leave at once, and a peer that is gone without a word is noticed within about 20 s (Linux)."""
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2), ("TCP_USER_TIMEOUT", 20_000)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


_SOCKET_OPTIONS = _socket_options()


handover = threading.Lock()
"""Held while a connection changes its attempt, and while one is shut: nobody shuts what is another's by then."""

active = threading.local()
"""Its `attempt` is the one this thread is in: urllib3 hands out connections without saying for whom."""


def _reached(phase: Phase, connection: Any) -> None:
    attempt = getattr(active, "attempt", None)
    if attempt is not None:
        attempt.reached(phase, connection)


class _Followed:
    """A connection of urllib3's that tells the attempt how far it got."""

    sock: socket.socket | None
    parts: list[bytes] | None = None
    timeout: Any  # urllib3 allows None and a sentinel beside seconds

    def connect(self) -> None:
        _reached(Phase.CONNECTING, self)
        super().connect()  # type: ignore[misc]  # urllib3's class stands behind this one

    def _new_conn(self) -> socket.socket:
        """
        A connected socket: all addresses of the name share the connect time-out, and the attempt can cancel each.

        urllib3 gives every address the whole time-out, and shows nobody the socket before it is connected.
        """
        try:
            places = socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM)  # type: ignore[attr-defined]
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[attr-defined, arg-type]
        deadline = time.monotonic() + (self.timeout or _CONNECT_S)
        failure: OSError | None = None
        for place, (family, kind, protocol, _, address) in enumerate(places):
            left_s = max(0.05, (deadline - time.monotonic()) / (len(places) - place))
            try:
                return self._connected(socket.socket(family, kind, protocol), address, left_s)
            except OSError as error:
                failure = error
                if getattr(getattr(active, "attempt", None), "cancelled", False):
                    break
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, "Connecting took too long.") from failure
        raise NewConnectionError(self, "Connecting failed.") from failure  # type: ignore[arg-type]

    def _connected(self, sock: socket.socket, address: Any, within_s: float) -> socket.socket:  # of the socket's family
        self.sock = sock
        try:
            for option in _SOCKET_OPTIONS:
                sock.setsockopt(*option)
            sock.settimeout(within_s)
            _reached(Phase.CONNECTING, self)
            sock.connect(address)
        except BaseException:
            self.sock = None
            sock.close()
            raise
        sock.settimeout(self.timeout)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:  # urllib3's own signature changes between releases
        """Connect if need be, and send all of the request."""
        if self.sock is None:
            self.connect()
        _reached(Phase.SENDING, self)
        # Until now the connect time-out applies, which a large body may well outlast.
        body = args[2] if len(args) > 2 else kwargs.get("body")
        self.timeout = _SEND_S + len(body or b"") / _SLOWEST_UPLOAD
        parts: list[bytes] = []
        self.parts = parts
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]  # as above
        finally:
            self.parts = None
        # In one piece: two small ones cost twice, and OpenRouter would wait for the second.
        self.send(b"".join(parts))
        _reached(Phase.SENT, self)

    def send(self, data: Any) -> None:  # urllib3 takes files and iterables as well; here it is bytes
        """Send this, or keep it until all of the request is there."""
        if self.parts is None:
            super().send(data)  # type: ignore[misc]  # as above
        else:
            self.parts.append(data)

    def getresponse(self) -> Any:  # urllib3's response
        response = super().getresponse()  # type: ignore[misc]  # as above
        if response.status < 200:
            # The final answer is still to come on this connection: nobody else must find it there.
            self.close()  # type: ignore[attr-defined]  # as above
        return response


class _PlainConnection(_Followed, HTTPConnection):
    pass


class _TlsConnection(_Followed, HTTPSConnection):
    pass


class _HandsOver:
    """A pool whose connections belong to the attempt that takes them from that moment on."""

    def _get_conn(self, timeout: float | None = None) -> Any:  # urllib3's connection
        connection = super()._get_conn(timeout)  # type: ignore[misc]  # urllib3's class stands behind this one
        with handover:
            connection.attempt = getattr(active, "attempt", None)
            if connection.sock is not None and is_connection_dropped(connection):
                # The attempt before was cancelled between urllib3's own look and this one.
                connection.close()
        return connection


class _PlainPool(_HandsOver, urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(_HandsOver, urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class FollowedAdapter(HTTPAdapter):
    """requests' transport to one place, with connections that can be followed and cancelled."""

    _pool: Any = None  # of urllib3's, of either kind

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # requests' own signature
        """The pool of connections, looked up once: it is the same for every request."""
        pool = self._pool
        if pool is None:
            pool = self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return pool

    def close(self) -> None:
        """Leave the idle connections."""
        self._pool = None
        super().close()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # requests' own signature
        super().init_poolmanager(*args, **kwargs, socket_options=_SOCKET_OPTIONS)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # requests' own signature
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
