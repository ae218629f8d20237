"""Connections of urllib3's that tell an attempt how far it got, and so can be cancelled at any point."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

import urllib3
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.wait import wait_for_read

from app.adapters.spares import is_silent
from app.adapters.wire import BrokenAnswer, WireAnswer
from app.core.frozen import frozen

_CONNECT_S = 5.0
_SEND_S = 30.0
_UNREAD = 512 * 1024
_SLOWEST_UPLOAD = 100_000
"""Bytes per second."""

_BUFFERED = 16 * 1024
"""A request of so many bytes leaves the program at once, whether its peer takes it or not."""


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


class Follower(Protocol):
    """An attempt that wants to know how far its connection got."""

    cancelled: bool

    def connecting(self, connection: Any) -> None:
        """It is about to be opened, or has the socket for it."""
        ...

    def sending(self, connection: Any) -> None:
        """It is open, and about to send."""
        ...

    def sent(self) -> None:
        """All of the request has left the program."""
        ...


@frozen
class Asked:
    """A request as it goes over the wire."""

    head: bytes
    body: bytes


def limit(sock: Any, seconds: float) -> None:  # a socket, or urllib3's TLS inside TLS
    """From now on the socket waits no longer than this; to say so costs a system call, to see that it does none."""
    if sock.gettimeout() != seconds:
        sock.settimeout(seconds)


class _Followed:
    """A connection of urllib3's that tells the attempt how far it got."""

    attempt: Follower | None = None
    """The one that it was handed to last; None for a spare one."""
    sock: socket.socket | None
    timeout: Any  # urllib3 allows None and a sentinel beside seconds

    @property
    def is_connected(self) -> bool:
        """Whether it is open, and nothing came that nobody asked for: neither bytes nor the peer's end."""
        sock = self.sock
        return sock is not None and not _can_be_read(sock)

    def connect(self) -> None:
        if self.attempt is not None:
            self.attempt.connecting(self)
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
                if self.attempt is not None and self.attempt.cancelled:
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
            if self.attempt is not None:
                self.attempt.connecting(self)
            sock.connect(address)
        except BaseException:
            self.sock = None
            sock.close()
            raise
        sock.settimeout(self.timeout)
        return sock

    def ask(self, asked: Asked, read_s: float) -> WireAnswer:
        """
        Send all of the attempt's request in one piece, since two small ones cost twice, and read its answer's head.

        Its body is read from what this returns.
        """
        assert self.attempt is not None
        if self.sock is None:
            self.connect()
        assert self.sock is not None
        self.attempt.sending(self)
        request = asked.head + asked.body
        # What fits the system's own buffer is taken at once, so the clock for the answer is set here already. One for
        # sending, which a large body may need longer than the connect time-out for, would be set for nothing.
        limit(self.sock, read_s if len(request) <= _BUFFERED else _SEND_S + len(request) / _SLOWEST_UPLOAD)
        self.sock.sendall(request)
        self.attempt.sent()
        if self.sock is None:
            raise BrokenAnswer("the connection was closed")
        limit(self.sock, read_s)
        return WireAnswer(self)


def _can_be_read(sock: socket.socket) -> bool:
    if not hasattr(select, "poll"):
        return wait_for_read(sock, timeout=0.0)
    # The same without urllib3's generality: every call looks.
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _PlainConnection(_Followed, HTTPConnection):
    pass


class _TlsConnection(_Followed, HTTPSConnection):
    @property
    def is_connected(self) -> bool:
        """Whether the peer has neither closed it nor sent what nobody asked for."""
        return super().is_connected or is_silent(self.sock)


class _HandsOver:
    """A pool whose connections belong to the attempt that takes them from that moment on."""

    pool: Any  # urllib3's queue of idle connections; None once the pool was left

    def exchange(self, asked: Asked, attempt: Follower, *, connect_s: float, read_s: float) -> WireAnswer:
        """The answer to a request, which gives its connection back; raises what urllib3 and the socket raise."""
        pool: Any = self  # urllib3's class stands behind this one
        connection = self._handed_to(attempt)
        try:
            connection.timeout = connect_s
            if connection.is_closed and pool.proxy is not None:
                pool._prepare_proxy(connection)
            pool._validate_conn(connection)
            answer: WireAnswer = connection.ask(asked, read_s)
        except BaseException:
            connection.close()
            # Not the connection itself: what is left of its answer may close it once more.
            pool._put_conn(None)
            raise
        answer.give_back = pool._put_conn
        return answer

    def _handed_to(self, attempt: Follower) -> Any:  # urllib3's connection
        pool: Any = self
        while True:
            connection = self._idle() or pool._new_conn()
            with handover:
                connection.attempt = attempt
                # From here on only this attempt can shut it: one look, which is a system call, is enough.
                if connection.sock is not None and not connection.is_connected:
                    connection.close()
            if connection.sock is not None or not self._has_idle():
                return connection

    def _idle(self) -> Any:  # urllib3's connection
        """One that waits, or None; raises ClosedPoolError."""
        waiting = self.pool
        if waiting is None:
            raise ClosedPoolError(self, "The pool was left.")  # type: ignore[arg-type]  # urllib3's class, as above
        # What the queue does, but for waking those who wait for it: here nobody does.
        with waiting.mutex:
            return waiting.queue.pop() if waiting.queue else None

    def _has_idle(self) -> bool:
        """Whether there are others beside a dead one, which urllib3 would open anew."""
        waiting = self.pool
        return waiting is not None and bool(waiting.queue) and waiting.queue[-1] is not None

    def _put_conn(self, connection: Any) -> None:  # urllib3's connection, or None for one that is not kept
        if connection is not None:
            connection.idle_since = time.monotonic()
        waiting = self.pool
        if waiting is not None:
            with waiting.mutex:
                if len(waiting.queue) < waiting.maxsize:
                    waiting.queue.append(connection)
                    return
        super()._put_conn(connection)  # type: ignore[misc]

    def open_spare(self, connect_s: float) -> None:
        """Put one more connection among the idle ones; raises what urllib3 and the socket raise."""
        pool: Any = self
        connection = pool._new_conn()
        try:
            connection.timeout = connect_s
            if pool.proxy is not None:
                pool._prepare_proxy(connection)
            pool._validate_conn(connection)
        except BaseException:
            connection.close()
            raise
        waiting = self.pool
        if waiting is not None:
            with waiting.mutex:
                if waiting.queue and waiting.queue[0] is None:
                    # urllib3 has one of these for every place that is free.
                    del waiting.queue[0]
        # A pool that was left meanwhile closes it.
        pool._put_conn(connection)


class _PlainPool(_HandsOver, urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(_HandsOver, urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class FollowedAdapter(HTTPAdapter):
    """requests' transport to one place, with connections that can be followed and cancelled."""

    def __init__(self, base_url: str, *, verify: str | bool, proxies: Mapping[str, str], pool_size: int) -> None:
        super().__init__(pool_connections=4, pool_maxsize=pool_size)
        self._request = PreparedRequest()
        self._request.prepare(method="POST", url=base_url, headers={})
        self._verify = verify
        self._proxies = dict(proxies)
        self._pool: _HandsOver | None = None
        target = self.request_url(self._request, self._proxies)
        self.prefix = target.rstrip("/")
        """What stands before the path where a request says what it wants: a proxy may have to be told all of it."""
        is_told_all = not target.startswith("/")
        self.headers: Mapping[str, str] = self.proxy_headers(proxies["http"]) if is_told_all else {}
        """What it has to be told beside."""

    def exchange(self, asked: Asked, attempt: Follower, *, connect_s: float, read_s: float) -> WireAnswer:
        """The answer to a request, as far as its head; raises what urllib3 and the socket raise."""
        return self.pool().exchange(asked, attempt, connect_s=connect_s, read_s=read_s)

    def pool(self) -> _HandsOver:
        """The connections to the place."""
        pool = self._pool
        if pool is None:
            pool = self._pool = self._find_pool()
        return pool

    def _find_pool(self) -> _HandsOver:
        """requests' way to the place: through a proxy or not, with the certificates that are trusted."""
        pool: Any = self.get_connection_with_tls_context(self._request, verify=self._verify, proxies=self._proxies)
        self.cert_verify(pool, self._request.url, self._verify, None)  # type: ignore[no-untyped-call]
        return pool  # type: ignore[no-any-return]

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
