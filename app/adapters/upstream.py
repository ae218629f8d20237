"""
OpenRouter over HTTP, through requests and urllib3.

Only what is asked for is sent: no environment proxies, no .netrc, no cookies, no redirects, no automatic retries of a
paid POST. Every foreign error becomes one of ours here, also while a body is being read.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.retry import Retry

from app.core.attempts import Phase
from app.core.errors import BadRequest, GatewayError, TimedOut, UpstreamFailed

_CHUNK = 64 * 1024
_MAX_BODY = 64 * 2**20
_SEND_S = 30.0
_SLOWEST_UPLOAD = 100_000
"""Bytes per second."""

_SLEPT_S = 10.0
"""While a machine sleeps its wall clock goes on and the monotonic one does not; so far apart means that it slept."""

_END_S = 0.05
_GET_S = 30.0
_GET_AGAIN_S = 3.0
_USER_AGENT = "orgate"


@dataclass(frozen=True)
class Timeouts:
    """Clocks of one attempt, in seconds."""

    connect: float = 5
    headers_stream: float = 120
    headers_plain: float = 600
    read: float = 600
    """Between two reads, as a backstop: who waits for content keeps a stricter clock."""


_active = threading.local()
"""The attempt that this thread is in: urllib3 hands out connections without saying for whom."""


def _reached(phase: Phase, connection: Any) -> None:
    attempt = getattr(_active, "attempt", None)
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


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _PlainPool, "https": _TlsPool}


_SOCKET_OPTIONS = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


class _Adapter(HTTPAdapter):
    """requests' transport with connections that can be followed and cancelled."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # requests' own signature
        super().init_poolmanager(*args, **kwargs, socket_options=_SOCKET_OPTIONS)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # requests' own signature
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class HttpUpstream:
    """The Upstream port: one pool of warm connections to one base URL."""

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts,
        ca_bundle: str | None = None,
        proxy: str | None = None,
        pool_size: int = 256,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeouts = timeouts
        self._verify: str | bool = ca_bundle or True
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._gap_s = time.time() - time.monotonic()
        self._adapter = _Adapter(pool_connections=4, pool_maxsize=pool_size, max_retries=Retry(0, read=False))

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, key: str, stream: bool) -> HttpAttempt:
        """An attempt to POST these bytes; nothing is sent before its `send`."""
        clocks = self._timeouts
        request = self._prepare("POST", path, {**headers, "Content-Type": "application/json"}, key, body)
        return HttpAttempt(self, request, clocks.headers_stream if stream else clocks.headers_plain)

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        """Status and body of a GET, tried once more when the first try failed at once; raises GatewayError."""
        request = self._prepare("GET", path, {"Accept": "application/json"}, key, None)
        began = time.monotonic()
        try:
            answer = HttpAttempt(self, request, _GET_S).send()
        except GatewayError:
            # A connection that had died in the pool shows at once; whoever was slow would only be slow again.
            if time.monotonic() - began > _GET_AGAIN_S:
                raise
            answer = HttpAttempt(self, request, _GET_S).send()
        try:
            return answer.status, answer.read()
        finally:
            answer.close()

    def _prepare(
        self, method: str, path: str, headers: Mapping[str, str], key: str | None, body: bytes | None
    ) -> PreparedRequest:
        request = PreparedRequest()
        sent = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **headers}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        try:
            request.prepare(method=method, url=self._base_url + path, headers=sent, data=body)
        except (requests.exceptions.InvalidHeader, UnicodeError):
            # The error's text holds the header's value, which may be a secret.
            raise BadRequest("A header of the request cannot be sent on.", code="bad_header") from None
        return request

    def forget(self) -> None:
        """Leave the idle connections: the way there is another one now, or their peers are gone without a word."""
        self._adapter.close()

    def _send(self, request: PreparedRequest, headers_s: float) -> requests.Response:
        gap_s = time.time() - time.monotonic()
        if gap_s - self._gap_s > _SLEPT_S:
            self.forget()
        self._gap_s = gap_s
        return self._adapter.send(
            request,
            stream=True,
            timeout=(self._timeouts.connect, headers_s),
            verify=self._verify,
            proxies=self._proxies,
        )


class HttpAttempt:
    """One request that can be followed, and cancelled from another thread."""

    def __init__(self, upstream: HttpUpstream, request: PreparedRequest, headers_s: float) -> None:
        self._upstream = upstream
        self._request = request
        self._headers_s = headers_s
        self._connection: Any = None  # urllib3's connection of either kind
        self._sock: Any = None  # its socket, which http.client takes away from it when the peer will close
        self._lock = threading.Lock()
        self._on_sent: Callable[[float], None] = lambda _: None
        self.phase = Phase.NEW
        self.cancelled = False

    def send(self, on_sent: Callable[[float], None] = lambda _: None) -> HttpAnswer:
        """Send the request and wait for the answer's headers; raises GatewayError. `on_sent` is told how long."""
        self._on_sent = on_sent
        _active.attempt = self
        try:
            with mapped(self):
                response = self._upstream._send(self._request, self._headers_s)
        except GatewayError:
            if self.phase < Phase.SENT and not self.cancelled:
                self._upstream.forget()
            raise
        finally:
            _active.attempt = None
        if self.cancelled:
            # Its socket was shut meanwhile: what was read may end in the middle and not show it.
            response.close()
            raise _cancelled()
        self.phase = Phase.HEADERS
        return HttpAnswer(self, response, self._upstream._timeouts)

    def cancel(self) -> None:
        """End it now: whoever waits for it is woken with an error, and OpenRouter sees the connection close."""
        with self._lock:
            self.cancelled = True
            self._sock = getattr(self._connection, "sock", None) or self._sock
            self._shut()

    def reached(self, phase: Phase, connection: Any) -> None:
        """The connection tells how far it is."""
        with self._lock:
            self.phase = max(phase, self.phase)
            self._connection = connection
            self._sock = getattr(connection, "sock", None) or self._sock
            connection.attempt = self
            if self.cancelled:
                self._shut()
        if phase is Phase.SENT:
            self._on_sent(self._headers_s)

    def _shut(self) -> None:
        # A connection that went back to the pool may already carry another attempt.
        if self._sock is not None and self._connection.attempt is self:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


class HttpAnswer:
    """The Answer port over a urllib3 response."""

    def __init__(self, attempt: HttpAttempt, response: requests.Response, clocks: Timeouts) -> None:
        self._attempt = attempt
        self._response = response
        self._raw = response.raw
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._wait_at_most(clocks.read)

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, never held back; raises GatewayError where it breaks."""
        while True:
            with mapped(self._attempt):
                chunk: bytes = self._raw.read1(_CHUNK, decode_content=True)
            if self._attempt.cancelled:
                raise _cancelled()
            if not chunk:
                return
            yield chunk

    def read(self) -> bytes:
        """The whole body; raises GatewayError where it breaks or is larger than 64 MiB."""
        parts, size = [], 0
        try:
            for chunk in self.chunks():
                parts.append(chunk)
                size += len(chunk)
                if size > _MAX_BODY:
                    self._attempt.cancel()
                    raise UpstreamFailed("OpenRouter's answer is larger than 64 MiB.", code="upstream_too_large")
        finally:
            self.close()
        return b"".join(parts)

    def finish(self) -> None:
        """Take the end of a body whose last word was read, so that the connection can carry the next call."""
        with suppress(OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            self._wait_at_most(_END_S)
            self._raw.read1(_CHUNK, decode_content=True)

    def _wait_at_most(self, seconds: float) -> None:
        sock = self._attempt._sock
        if sock is not None:
            with suppress(OSError):
                sock.settimeout(seconds)

    def close(self) -> None:
        """Let go of the connection: kept for the next call when the body was read to its end, else closed."""
        with suppress(OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            self._response.close()


@contextmanager
def mapped(attempt: HttpAttempt) -> Iterator[None]:
    """Turn what requests, urllib3, http.client and the socket raise into a GatewayError, by the phase reached."""
    try:
        yield
    except GatewayError:
        raise
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
        raise _failure(error, attempt) from _bare(error)
    except (OSError, ValueError, AttributeError) as error:
        # A response closed by another thread while it is read shows itself as any of these.
        raise _failure(error, attempt) from _bare(error)


def _failure(error: Exception, attempt: HttpAttempt) -> GatewayError:
    causes = list(_causes(error))
    name = type(next((cause for cause in reversed(causes) if isinstance(cause, OSError)), causes[0])).__name__
    if attempt.cancelled:
        return _cancelled()
    if attempt.phase < Phase.SENDING and any(_is_distrust(cause) for cause in causes):
        return UpstreamFailed(
            "OpenRouter's certificate cannot be trusted. Check the clock, the network and ORGATE_CA_BUNDLE.",
            code="upstream_tls_error",
        )
    slow = any(_is_timeout(cause) for cause in causes)
    if attempt.phase < Phase.SENT:
        message = f"OpenRouter could not be reached ({name}). Check the network and ORGATE_PROXY."
        kind: type[GatewayError] = TimedOut if slow else UpstreamFailed
        return kind(message, code="upstream_unreachable", should_retry=True)
    if slow:
        return TimedOut(
            "OpenRouter took the call and then said nothing for too long. It may have been carried out and billed.",
            code="outcome_unknown" if attempt.phase < Phase.HEADERS else "upstream_stalled",
        )
    if attempt.phase < Phase.HEADERS:
        return TimedOut(
            f"The connection broke before OpenRouter answered ({name}). The call may have been carried out and billed.",
            code="outcome_unknown",
        )
    return UpstreamFailed(f"OpenRouter's answer broke off ({name}).", code="upstream_truncated")


def _cancelled() -> GatewayError:
    return UpstreamFailed("The call was ended before OpenRouter answered.", code="cancelled")


def _is_distrust(error: BaseException) -> bool:
    # A handshake that is cut off says nothing of the certificate.
    return isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def _is_timeout(error: BaseException) -> bool:
    # urllib3 counts a refused connection among its time-outs.
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    return not refused and isinstance(error, (TimeoutError, urllib3.exceptions.TimeoutError))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        cause = todo.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]


def _bare(error: Exception) -> Exception:
    """The error without its request: requests keeps the headers, and with them the key, on its exceptions."""
    if isinstance(error, requests.exceptions.RequestException):
        error.request = None
        error.response = None
    return error
