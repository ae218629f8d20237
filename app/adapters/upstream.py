"""
OpenRouter over HTTP, through requests and urllib3.

Only what is asked for is sent: no environment proxies, no .netrc, no cookies, no redirects, no automatic retries of a
paid POST. Every foreign error becomes one of ours here, also while a body is being read.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import urllib3
from requests.utils import requote_uri

from app.adapters.connections import Asked, FollowedAdapter, handover, limit
from app.adapters.failures import cancelled, mapped
from app.adapters.spares import MOST, Pool, Spares
from app.adapters.wire import WireAnswer
from app.core.attempts import Phase
from app.core.errors import BadRequest, GatewayError, UpstreamFailed
from app.core.frozen import frozen

_MAX_BODY = 64 * 2**20
_SLEPT_S = 10.0
"""While a machine sleeps its wall clock goes on and the monotonic one does not; so far apart means that it slept."""

_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError)
_LONG_S = 5.0
_GET_S = 30.0
_GET_AGAIN_S = 3.0
_USER_AGENT = "orgate"
_HEADS = 16
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [ -~\t\x80-\xff]*")
"""RFC 9110, 5.5 and 5.6.2: a header's name and its value."""


@frozen
class Timeouts:
    """Clocks of one attempt, in seconds."""

    connect: float = 5
    headers_stream: float = 120
    headers_plain: float = 600
    read: float = 600
    """Between two reads, as a backstop: who waits for content keeps a stricter clock."""


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
        keep_ready: bool = False,
    ) -> None:
        """`keep_ready` has a connection open, if TLS makes that worth it, before a call needs one."""
        self._host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._timeouts = timeouts
        self._gap_s = time.time() - time.monotonic()
        # An app's calls differ in little but their bodies.
        self._head_of = lru_cache(_HEADS)(self._head)
        self._adapter = FollowedAdapter(
            base_url,
            verify=ca_bundle or True,
            proxies={"http": proxy, "https": proxy} if proxy else {},
            pool_size=pool_size + MOST,
        )
        is_worth_it = keep_ready and base_url.startswith("https:")
        self._spares = Spares(self._pool, timeouts.connect) if is_worth_it else None

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, key: str, stream: bool) -> HttpAttempt:
        """An attempt to POST these bytes; nothing is sent before its `send`."""
        clocks = self._timeouts
        if self._spares is not None:
            self._spares.used()
        asked = self._asked("POST", path, {**headers, "Content-Type": "application/json"}, key, body)
        return HttpAttempt(self, asked, clocks.headers_stream if stream else clocks.headers_plain)

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        """Status and body of a GET, tried once more when the first try failed at once; raises GatewayError."""
        asked = self._asked("GET", requote_uri(path), {"Accept": "application/json"}, key, b"")
        if self._spares is not None and key is not None:
            # Calls will follow. What is asked later, again and again, need not be fast.
            self._spares.begin()
        began = time.monotonic()
        try:
            answer = HttpAttempt(self, asked, _GET_S).send()
        except GatewayError:
            # A connection that had died in the pool shows at once; whoever was slow would only be slow again.
            if time.monotonic() - began > _GET_AGAIN_S:
                raise
            answer = HttpAttempt(self, asked, _GET_S).send()
        try:
            return answer.status, answer.read()
        finally:
            answer.close()

    def _asked(self, method: str, path: str, headers: Mapping[str, str], key: str | None, body: bytes) -> Asked:
        head = self._head_of(method, path, tuple(headers.items()))
        own = [] if key is None else [_bearer(key)]
        if body:
            own.append(f"Content-Length: {len(body)}")
        return Asked(head + "\r\n".join([*own, "", ""]).encode("latin-1"), body)

    def _head(self, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
        """What a request begins with, without the key, which is kept in one place only; raises BadRequest."""
        sent = {
            "Host": self._host,
            "User-Agent": _USER_AGENT,
            "Accept-Encoding": "identity",
            **dict(headers),
            **self._adapter.headers,
        }
        lines = [_checked(f"{name}: {value}") for name, value in sent.items()]
        lines = [f"{method} {self._adapter.prefix}{path} HTTP/1.1", *lines, ""]
        return "\r\n".join(lines).encode("latin-1")

    def forget(self) -> None:
        """Leave the idle connections: the way there is another one now, or their peers are gone without a word."""
        self._adapter.close()

    def close(self) -> None:
        """Open no more connections ahead of need."""
        if self._spares is not None:
            self._spares.stop()

    def _pool(self) -> Pool:
        self._leave_if_slept()
        return self._adapter.pool()

    def _leave_if_slept(self) -> None:
        gap_s = time.time() - time.monotonic()
        if gap_s - self._gap_s > _SLEPT_S:
            self.forget()
        self._gap_s = gap_s

    def _send(self, asked: Asked, attempt: HttpAttempt, headers_s: float) -> WireAnswer:
        self._leave_if_slept()
        return self._adapter.exchange(asked, attempt, connect_s=self._timeouts.connect, read_s=headers_s)


def _checked(line: str) -> str:
    # The error must not hold the header's value, which may be a secret.
    if not _FIELD.fullmatch(line):
        raise BadRequest("A header of the request cannot be sent on.", code="bad_header")
    return line


def _bearer(key: str) -> str:
    line = f"Authorization: Bearer {key}"
    # Every call sends it: the quick look is enough for any key that OpenRouter has ever given.
    return line if line.isascii() and line.isprintable() else _checked(line)


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


class HttpAttempt:
    """One request that can be followed, and cancelled from another thread."""

    def __init__(self, upstream: HttpUpstream, asked: Asked, headers_s: float) -> None:
        self._upstream = upstream
        self._asked = asked
        self._headers_s = headers_s
        self._connection: Any = None  # urllib3's connection of either kind
        self._sock: Any = None  # its socket, which http.client takes away from it when the peer will close
        self._lock = threading.Lock()
        self._sent_at: float | None = None
        self._on_sent: Callable[[float], object] = _nothing
        self._on_connecting: Callable[[], object] = _nothing
        self.phase = Phase.NEW
        self.cancelled = False

    def send(
        self, on_sent: Callable[[float], object] = _nothing, on_connecting: Callable[[], object] = _nothing
    ) -> HttpAnswer:
        """Send the request and wait for the answer's headers; raises GatewayError. `on_sent` is told how long."""
        self._on_sent, self._on_connecting = on_sent, on_connecting
        try:
            with mapped(self):
                response = self._upstream._send(self._asked, self, self._headers_s)
        except GatewayError:
            # Who could not be reached, or was silent for long, may be gone without a word: so may the others be.
            if (self.phase < Phase.SENT and not self.cancelled) or self._waited_s() > _LONG_S:
                self._upstream.forget()
            raise
        finally:
            # Who follows it knows it: left in place they would keep each other, and the call's text, alive for long.
            self._on_sent, self._on_connecting = _nothing, _nothing
        if self.cancelled:
            # Its socket was shut meanwhile: what was read may end in the middle and not show it.
            response.close()
            raise cancelled()
        self.phase = Phase.HEADERS
        return HttpAnswer(self, response, self._upstream._timeouts)

    def cancel(self) -> None:
        """End it now: whoever waits for it is woken with an error, and OpenRouter sees the connection close."""
        with self._lock:
            self.cancelled = True
            self._sock = getattr(self._connection, "sock", None) or self._sock
            self._shut()

    def connecting(self, connection: Any) -> None:
        """The connection is about to be opened, or has the socket for it."""
        self._take(connection)
        self.advance(Phase.CONNECTING)
        self._on_connecting()

    def sending(self, connection: Any) -> None:
        """The connection is about to send."""
        self._take(connection)
        self.advance(Phase.SENDING)

    def sent(self) -> None:
        """All of the request has left the program."""
        self.advance(Phase.SENT)
        self._sent_at = time.monotonic()
        self._on_sent(self._headers_s)

    def advance(self, phase: Phase) -> None:
        """It got this far, and never goes back."""
        if phase > self.phase:
            self.phase = phase

    def _take(self, connection: Any) -> None:
        with self._lock:
            self._connection = connection
            self._sock = connection.sock or self._sock
            connection.attempt = self
            if self.cancelled:
                self._shut()

    def _waited_s(self) -> float:
        """Seconds since the request was sent whole; 0 when it was not."""
        return 0.0 if self._sent_at is None else time.monotonic() - self._sent_at

    def _shut(self) -> None:
        # A connection that went back to the pool may already carry another attempt.
        with handover:
            if self._sock is not None and self._connection.attempt is self:
                with suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)


class HttpAnswer:
    """The Answer port over what came on the wire."""

    def __init__(self, attempt: HttpAttempt, response: WireAnswer, clocks: Timeouts) -> None:
        self._attempt = attempt
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        if attempt._sock is not None:
            with suppress(OSError):
                limit(attempt._sock, clocks.read)

    def chunks(self) -> Iterator[bytes]:
        """
        The body as it arrives, never held back; raises GatewayError where it breaks.

        Once it is detached a chunk is empty where nothing has come yet.
        """
        try:
            with mapped(self._attempt):
                while (chunk := self._chunk()) is not None:
                    yield chunk
        except GatewayError:
            self.close()
            raise
        self._attempt.advance(Phase.ENDED)

    def _chunk(self) -> bytes | None:
        """The next one, or None at the end."""
        try:
            chunk = self._response.part()
        except _NOTHING_YET:
            return b""
        if self._attempt.cancelled:
            raise cancelled()
        if not chunk:
            return None
        self._attempt.advance(Phase.STREAMING)
        return chunk

    def detach(self) -> int | None:
        """Have `chunks` wait for nothing from now on: the descriptor to watch, or None when all was read."""
        return self._response.detach()

    def read(self) -> bytes:
        """The whole body; raises GatewayError where it breaks or is larger than 64 MiB."""
        parts, size = [], 0
        try:
            with mapped(self._attempt):
                for chunk in iter(self._chunk, None):
                    parts.append(chunk)
                    size += len(chunk)
                    if size > _MAX_BODY:
                        self._attempt.cancel()
                        raise UpstreamFailed("OpenRouter's answer is larger than 64 MiB.", code="upstream_too_large")
        finally:
            self.close()
        self._attempt.advance(Phase.ENDED)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the connection: kept for the next call when the body was read to its end, else closed."""
        with suppress(OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            self._response.close()
