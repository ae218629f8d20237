"""One answer on its way out: framing, waiting, and the rude ways to end."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO

from app.sandbox.journal import Entry, Journal
from app.sandbox.refusals import RefusedError

# As recorded 2026-06-08, plus the cookie Cloudflare sets, which nobody should pass on.
_COMMON = {
    "Connection": "keep-alive",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Generation-Id,cf-ray",
    "Permissions-Policy": (
        'payment=(self "https://checkout.stripe.com" "https://connect-js.stripe.com" "https://js.stripe.com" '
        '"https://*.js.stripe.com" "https://hooks.stripe.com")'
    ),
    "Referrer-Policy": "no-referrer, strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Server": "cloudflare",
    "Set-Cookie": "__cf_bm=sandbox; path=/; HttpOnly; Secure",
}
_RAYS = itertools.count(0x9F00_0000_0000_0001)
_PEEK_SLICE_S = 0.05


class ClientGoneError(Exception):
    """The client closed the connection before the answer was complete."""


class StoppedError(Exception):
    """The sandbox is being stopped."""


class Outlet:
    """The sending side of one request; `closes` tells whether the connection is used up."""

    def __init__(
        self, sock: socket.socket, rfile: BinaryIO, journal: Journal, entry: Entry, stopping: threading.Event
    ) -> None:
        self._sock, self._rfile = sock, rfile
        self._journal, self._entry, self._stopping = journal, entry, stopping
        self._chunked = False
        self.closes = False

    @property
    def entry(self) -> Entry:
        """The journal's entry of this request."""
        return self._entry

    def head(self, status: int, headers: Mapping[str, str], length: int | None = None, gap_s: float = 0.0) -> None:
        """Send status and headers; the body is chunked unless a length is given. A gap drips the bytes one by one."""
        data = self._head(status, headers, length)
        if not gap_s:
            self.raw(data)
            return
        for byte in data:
            self.raw(bytes((byte,)))
            self.wait(gap_s)

    def _head(self, status: int, headers: Mapping[str, str], length: int | None) -> bytes:
        self._entry.status = status
        self._entry.generation_id = headers.get("X-Generation-Id", self._entry.generation_id)
        bare = status in {204, 304} or status < 200
        self._chunked = length is None and not bare
        framing = {"Transfer-Encoding": "chunked"} if self._chunked else {"Content-Length": str(length or 0)}
        if bare:
            framing = {}
        fields = {"Date": formatdate(usegmt=True), **_COMMON, "Cf-Ray": f"{next(_RAYS):016x}-SBX", **framing, **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {status} {reason(status)}\r\n{lines}\r\n".encode("latin-1", errors="replace")

    def send(self, data: bytes) -> None:
        """Send a part of the body in one write."""
        if data:
            self.raw(self._frame(data))

    def event(self, data: bytes) -> None:
        """Send one event of a stream and count it."""
        self.send(data)
        self._entry.events_sent += 1

    def send_split(self, data: bytes, at: int, gap_s: float) -> None:
        """Send one chunk in two writes with a pause between them, cut at a byte of the data."""
        framed = self._frame(data)
        cut = framed.index(data) + at
        self.raw(framed[:cut])
        self.wait(gap_s)
        self.raw(framed[cut:])

    def raw(self, data: bytes) -> None:
        """Bytes as they are, outside any framing."""
        try:
            self._sock.sendall(data)
        except OSError as exc:
            raise self._gone() from exc

    def _frame(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer in one write, chunked as OpenRouter's are."""
        data = self._head(status, headers, None)
        if self._chunked:
            data += (self._frame(body) if body else b"") + b"0\r\n\r\n"
        # Noted first, so that whoever has read the answer finds it in the journal.
        self.note("answered")
        self.raw(data)

    def refuse(self, refused: RefusedError) -> None:
        """Answer with an error status."""
        self.answer(refused.status, refused.headers, refused.body)

    def end(self) -> None:
        """The body is complete."""
        self.note("answered")
        if self._chunked:
            self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close without finishing the body."""
        self.note("cut")
        self.closes = True

    def reset(self) -> None:
        """Close with a TCP reset instead of a proper end."""
        self.note("reset")
        self.closes = True
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._rfile.close()
        self._sock.close()

    def wait(self, seconds: float | None = None) -> None:
        """Wait so long, for ever without a number; ends at once when the client leaves or the sandbox stops."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            left = None if deadline is None else max(0.0005, deadline - time.monotonic())
            if not self._listen(left):
                continue
            # The next request is already here and hides the end of the connection: look in slices.
            self._stopping.wait(_PEEK_SLICE_S if left is None else min(left, _PEEK_SLICE_S))
            if self._stopping.is_set():
                raise StoppedError

    def _listen(self, seconds: float | None) -> bool:
        """True when the client has sent more, False when the time is over."""
        if self._stopping.is_set():
            raise StoppedError
        try:
            self._sock.settimeout(seconds)
            early = self._sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        except OSError as exc:
            raise self._gone() from exc
        finally:
            self._unlimited()
        if not early:
            raise self._gone()
        return True

    def _unlimited(self) -> None:
        if self._sock.fileno() >= 0:
            self._sock.settimeout(None)

    def _gone(self) -> ClientGoneError | StoppedError:
        if self._stopping.is_set():
            return StoppedError()
        self.note("client_closed")
        self.closes = True
        return ClientGoneError()

    def note(self, how: str) -> None:
        """Write down how the request ended."""
        self._journal.end(self._entry, how)


def reason(status: int) -> str:
    """The phrase of a status line, empty for statuses without one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
