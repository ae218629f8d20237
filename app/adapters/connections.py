"""Connections of urllib3's that tell an attempt how far it got, and so can be cancelled at any point."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import is_connection_dropped

from app.adapters.wire import BrokenAnswer, WireAnswer
from app.core.attempts import Phase

_CONNECT_S = 5.0
_SEND_S = 30.0
_UNREAD = 512 * 1024
_SLOWEST_UPLOAD = 100_000
"""Bytes per second."""


def _socket_options() -> list[tuple[int, int, int]]:
    """
    Small requests leave at once; a peer that is gone without a word is noticed within about 20 s (Linux); of what an
    app does not read little piles up here, so that OpenRouter notices.
    """
    options = [
        *HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD),
    ]
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
        """Connect if need be, and send all of the request in one piece: two small ones cost twice."""
        method, target, body, headers = _asked(*args, **kwargs)
        if self.sock is None:
            self.connect()
        assert self.sock is not None
        _reached(Phase.SENDING, self)
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        # Until now the connect time-out applied, which a large body may well outlast.
        self.sock.settimeout(_SEND_S + len(body) / _SLOWEST_UPLOAD)
        self.sock.sendall("\r\n".join(lines).encode("latin-1") + body)
        _reached(Phase.SENT, self)

    def getresponse(self) -> Any:  # what urllib3 takes for a response of its own
        """The head of the answer; its body is read from what this returns."""
        if self.sock is None:
            raise BrokenAnswer("the connection was closed")
        self.sock.settimeout(self.timeout)
        return WireAnswer(self)


def _asked(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, **_: object
) -> tuple[str, str, bytes, Mapping[str, str]]:
    """What matters of what urllib3 asks a connection for."""
    return method, url, body or b"", headers or {}


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

    def open(self, request: PreparedRequest, *, connect_s: float, read_s: float, **way: Any) -> WireAnswer:
        """Send the request and read the head of the answer; raises what urllib3 and the socket raise."""
        pool = self._pool
        if pool is None:
            # The same for every request, as there is but one place.
            pool = self.get_connection_with_tls_context(request, **way)
            self.cert_verify(pool, request.url, way["verify"], None)  # type: ignore[no-untyped-call]
            self._pool = pool
        answer: WireAnswer = pool.urlopen(
            request.method,
            self.request_url(request, way["proxies"]),
            body=request.body,
            headers=request.headers,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            retries=self.max_retries,
            timeout=urllib3.Timeout(connect=connect_s, read=read_s),
        )
        return answer

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
