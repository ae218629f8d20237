"""An app on a bare socket: it sends what the test says, reads as it likes, and leaves as rudely as it likes."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from tests.gateway import API, Gateway

Leaving = Literal["fin", "rst"]
DONE = b"data: [DONE]\n\n"


def pause(seconds: float) -> None:
    """Let so much time pass."""
    threading.Event().wait(seconds)


@dataclass(frozen=True)
class Reply:
    """One answer as it came; `whole` says that its framing was complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True

    @property
    def error(self) -> dict[str, Any]:
        """The error object of the body."""
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, code and x-should-retry."""
        return self.status, str(self.error["code"]), self.headers["x-should-retry"]


class RawApp:
    """One connection of an app to the gateway."""

    def __init__(self, gateway: Gateway, token: str = "", *, buffer: int = 0) -> None:
        self._gateway = gateway
        self._token = token or gateway.token()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", gateway.port))
        self._read = b""

    def head(self, *lines: str, path: str = f"{API}/chat/completions", version: str = "1.1") -> bytes:
        """The head of a POST with these lines beside the usual ones."""
        usual = (
            f"POST {path} HTTP/{version}",
            f"Host: 127.0.0.1:{self._gateway.port}",
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/json",
        )
        return "".join(f"{line}\r\n" for line in (*usual, *lines)).encode() + b"\r\n"

    def post(self, body: bytes, *lines: str) -> None:
        """Send a POST with this body."""
        self.socket.sendall(self.head(f"Content-Length: {len(body)}", *lines) + body)

    def chat(self, model: str, *lines: str, stream: bool = False, **more: Any) -> None:
        """Send a chat; `more` are further fields of its body."""
        self.post(body_of(model, stream=stream, **more), *lines)

    def read_until(self, mark: bytes) -> bytes:
        """Read on until this has come, and give all that was read; the rest is kept."""
        while mark not in self._read:
            if not self._more():
                raise EOFError(f"closed before {mark!r}: {self._read!r}")
        at = self._read.index(mark) + len(mark)
        data, self._read = self._read[:at], self._read[at:]
        return data

    def reply(self) -> Reply:
        """The next answer, to its end or to the end of the connection."""
        status, headers = self.reply_head()
        if headers.get("Transfer-Encoding") == "chunked":
            parts: list[bytes] = []
            try:
                parts += self.chunks()
            except (EOFError, OSError):
                return Reply(status, headers, b"".join(parts), whole=False)
            return Reply(status, headers, b"".join(parts))
        if "Content-Length" not in headers:
            while self._more():
                pass
            return Reply(status, headers, self._take(len(self._read)))
        length = int(headers["Content-Length"])
        body = self.take(length)
        return Reply(status, headers, body, whole=len(body) == length)

    def reply_head(self) -> tuple[int, _Headers]:
        """Status and headers of the next answer."""
        first, *lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return int(first.split()[1]), _Headers({name: value.strip() for name, _, value in pairs})

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a body; raises EOFError where it breaks off."""
        while True:
            size = int(self.read_until(b"\r\n"), 16)
            while len(self._read) < size + 2:
                if not self._more():
                    raise EOFError("closed within a chunk")
            chunk, _ = self._take(size), self._take(2)
            if not size:
                return
            yield chunk

    def read_some(self, count: int) -> None:
        """Take this many bytes off the connection, and keep them."""
        self._read += self.socket.recv(count)

    def reply_rest(self, final: bytes | None = None) -> bytes:
        """All bytes up to these last ones, or to the end of the connection, however it ends; framing and all."""
        with contextlib.suppress(ConnectionError):
            while not (final is not None and self._read.endswith(final)) and self._more():
                pass
        return self._take(len(self._read))

    def take(self, length: int) -> bytes:
        """So many bytes, or those up to the end of the connection."""
        while len(self._read) < length and self._more():
            pass
        return self._take(length)

    def ended(self) -> bool:
        """Whether nothing more comes: the gateway has closed the connection."""
        try:
            return not self._read and not self.socket.recv(1)
        except ConnectionError:
            return True

    def leave(self, how: Leaving = "fin") -> int:
        """Close the connection properly or with a reset; the monotonic clock just before, in ns."""
        if how == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at = time.monotonic_ns()
        self.socket.close()
        return at

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self._read += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        data, self._read = self._read[:count], self._read[count:]
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class _Headers(dict[str, str]):
    """Headers by names in any case."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in given.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default."""
        return super().get(name.lower(), default)


def body_of(model: str, *, stream: bool = False, **more: Any) -> bytes:
    """The body of a chat."""
    messages = [{"role": "user", "content": "Hello"}]
    return json.dumps({"model": model, "messages": messages, "stream": stream, **more}).encode()
