"""Connections of urllib3's that tell an attempt how far it got, and so can be cancelled at any point."""

from __future__ import annotations

import socket
import threading
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import is_connection_dropped

from app.core.attempts import Phase

_SEND_S = 30.0
_SLOWEST_UPLOAD = 100_000
"""Bytes per second."""

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

    def request(self, *args: Any, **kwargs: Any) -> None:  # urllib3's own signature changes between releases
        """Connect if need be, and send all of the request."""
        if self.sock is None:
            self.connect()
        _reached(Phase.SENDING, self)
        # Until now the connect time-out applies, which a large body may well outlast.
        body = args[2] if len(args) > 2 else kwargs.get("body")
        self.timeout = _SEND_S + len(body or b"") / _SLOWEST_UPLOAD
        super().request(*args, **kwargs)  # type: ignore[misc]  # as above
        _reached(Phase.SENT, self)

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


_SOCKET_OPTIONS = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


class FollowedAdapter(HTTPAdapter):
    """requests' transport with connections that can be followed and cancelled."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # requests' own signature
        super().init_poolmanager(*args, **kwargs, socket_options=_SOCKET_OPTIONS)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # requests' own signature
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
