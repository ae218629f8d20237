"""
One HTTP/1.1 answer, read from a socket as it comes (RFC 9112).

urllib3 opens, pools and secures the connections; the exchange on them is ours, since every byte of every call passes
here and the standard library's way of it took more than a fifth of a call's processor time.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

_CHUNK = 64 * 1024
_MOST_HEAD = 256 * 1024
_MOST_LINE = 1024
"""Of a chunk's size with its extensions."""

_BODILESS = (204, 304)
_STATUS_LINES = 64
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,12}[ \t]*")


class BrokenAnswer(http.client.HTTPException):
    """What came is no HTTP answer, or ended before it was whole."""


class Headers(Mapping[str, str]):
    """An answer's headers, by their names in any spelling."""

    def __init__(self, values: dict[str, str]) -> None:
        """By their names in small letters."""
        self._values = values

    def get(self, name: str, default: Any = None) -> Any:  # Mapping's own types
        """The value, or the default where there is none."""
        return self._values.get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class WireAnswer:
    """Status, headers and body of one answer; `part` gives the body as it arrives."""

    give_back: Callable[[Any], None] | None = None
    """Is given the connection when the answer is done with it, open or closed."""

    def __init__(self, connection: Any) -> None:  # urllib3's connection of either kind
        """The head of the answer is read at once; raises BrokenAnswer and OSError."""
        self._wire: Any = connection
        self._sock: socket.socket = connection.sock
        self._buffer = b""
        self._is_detached = self._has_looked = False
        self.status, self.headers = self._head()
        while 100 <= self.status < 200:
            # The final answer is still to come.
            self.status, self.headers = self._head()
        # A function and not a method: an answer that refers to itself would be collected late.
        self._next, self._left = self._framing()
        coding = self.headers.get("Content-Encoding", "").lower()
        self._inflated = _Inflated(coding) if coding not in ("", "identity") else None

    def part(self) -> bytes:
        """The next bytes of the body, whatever has come; empty at its end. Raises BrokenAnswer and OSError."""
        if self._inflated is not None:
            return self._inflated.part(self._raw_part)
        return self._raw_part()

    def _raw_part(self) -> bytes:
        while not self.is_over:
            part = self._next(self)
            if part:
                return part
        return b""

    def detach(self) -> int | None:
        """
        From now on `part` raises BlockingIOError or SSLWantReadError where nothing has come: the descriptor to watch.

        None when the body has come to its end, or the connection was closed.
        """
        if self.is_over or self._sock.fileno() < 0:
            return None
        self._is_detached = True
        self._sock.setblocking(False)
        return self._sock.fileno()

    @property
    def is_over(self) -> bool:
        """The body has come to its end."""
        return self._next is WireAnswer._nothing

    def close(self) -> None:
        """Let go of the connection: kept for the next request when this answer was read to its end, else closed."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if not (self.is_over and self._keeps_open and not self._buffer):
            wire.close()
        if self.give_back is not None:
            self.give_back(wire)

    def __del__(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _head(self) -> tuple[int, Headers]:
        first, *lines = self._up_to(b"\r\n\r\n", _MOST_HEAD).decode("latin-1").split("\r\n")
        version, status = _status_of(first)
        values = _fields_of(lines) if lines else {}
        asked = values.get("connection", "").lower()
        self._keeps_open = "keep-alive" in asked if version == "HTTP/1.0" else "close" not in asked
        return status, Headers(values)

    def _framing(self) -> tuple[Callable[[WireAnswer], bytes], int]:
        """How the body is told from what follows it (RFC 9112, 6.3)."""
        if self.status in _BODILESS:
            return WireAnswer._nothing, 0
        coding = self.headers.get("Transfer-Encoding", "").lower()
        if coding:
            if coding != "chunked":
                raise BrokenAnswer("an unknown transfer encoding")
            return WireAnswer._chunk_begins, 0
        length = self.headers.get("Content-Length")
        if length is None:
            self._keeps_open = False
            return WireAnswer._until_closed, 0
        # It may be said more than once, as a list, if each time it is the same (RFC 9110, 8.6).
        (told, *others) = {each.strip() for each in length.split(",")} if "," in length else (length,)
        if others or not told.isascii() or not told.isdecimal():
            raise BrokenAnswer("no length")
        size = int(told)
        return (WireAnswer._counted, size) if size else (WireAnswer._nothing, 0)

    def _nothing(self) -> bytes:
        return b""

    def _until_closed(self) -> bytes:
        part, self._buffer = self._buffer or self._receive(), b""
        if not part:
            self._next = WireAnswer._nothing
        return part

    def _counted(self) -> bytes:
        part = self._take(self._left)
        self._left -= len(part)
        if not self._left:
            self._next = WireAnswer._nothing
        return part

    def _chunk_begins(self) -> bytes:
        if not self._buffer:
            self._fill()
        come = self._whole_chunks()
        if come:
            return come
        size, _, _ = self._up_to(b"\r\n", _MOST_LINE).partition(b";")
        if not _SIZE.fullmatch(size):
            raise BrokenAnswer("no chunk")
        self._left = int(size, 16)
        self._next = WireAnswer._in_chunk if self._left else WireAnswer._trailer
        return b""

    def _whole_chunks(self) -> bytes:
        """The next chunk, if it has come whole; once detached all of those that have, in one piece."""
        buffer, at = self._buffer, 0
        found: list[bytes] = []
        while (line_end := buffer.find(b"\r\n", at, at + _MOST_LINE)) >= 0 and _SIZE.fullmatch(buffer, at, line_end):
            begin = line_end + 2
            end = begin + int(buffer[at:line_end], 16)
            if end == begin or buffer[end : end + 2] != b"\r\n":
                break
            found.append(buffer[begin:end])
            at = end + 2
            if not self._is_detached:
                break
        self._buffer = buffer[at:]
        return b"".join(found)

    def _in_chunk(self) -> bytes:
        part = self._take(self._left)
        self._left -= len(part)
        if not self._left:
            self._next = WireAnswer._chunk_ends
        return part

    def _chunk_ends(self) -> bytes:
        if self._up_to(b"\r\n", _MOST_LINE):
            raise BrokenAnswer("a chunk longer than it said")
        self._next = WireAnswer._chunk_begins
        return b""

    def _trailer(self) -> bytes:
        while self._up_to(b"\r\n", _MOST_HEAD):
            pass
        self._next = WireAnswer._nothing
        return b""

    def _take(self, most: int) -> bytes:
        """Up to so many bytes, whatever is there."""
        if not self._buffer:
            self._fill()
        part, self._buffer = self._buffer[:most], self._buffer[most:]
        return part

    def _up_to(self, mark: bytes, most: int) -> bytes:
        """What stands before the mark, which is taken too."""
        at = self._buffer.find(mark)
        while at < 0:
            searched = len(self._buffer)
            if searched > most:
                raise BrokenAnswer("a line without an end")
            self._fill()
            at = self._buffer.find(mark, max(0, searched - len(mark)))
        found, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return found

    def _fill(self) -> None:
        came = self._receive()
        if not came:
            raise BrokenAnswer("the connection ended before the answer did")
        self._buffer += came

    def _receive(self) -> bytes:
        if self._has_looked and not self._may_hold_more():
            self._has_looked = False
            raise BlockingIOError
        came = self._sock.recv(_CHUNK)
        self._has_looked = self._is_detached
        return came

    def _may_hold_more(self) -> bool:
        """Whether there may be bytes that a selector does not see; of the others it tells at less cost than a look."""
        if isinstance(self._sock, ssl.SSLSocket):
            return self._sock.pending() > 0
        # TLS inside TLS, to a proxy, keeps its own buffers.
        return not isinstance(self._sock, socket.socket)


@lru_cache(_STATUS_LINES)
def _status_of(line: str) -> tuple[str, int]:
    version, _, told = line.partition(" ")
    if not version.startswith("HTTP/1.") or not told[:3].isdecimal() or not told[:3].isascii():
        raise BrokenAnswer("no status line")
    return version, int(told[:3])


def _fields_of(lines: list[str]) -> dict[str, str]:
    """Names in small letters and values; those with the same name form a list (RFC 9110, 5.3)."""
    try:
        fields = dict([line.split(":", 1) for line in lines])
    except ValueError as error:
        raise BrokenAnswer("no header") from error
    if [*map(str.strip, fields)] != [*fields]:
        raise BrokenAnswer("no header")
    values = {name.lower(): value.strip(" \t") for name, value in fields.items()}
    return values if len(values) == len(lines) else _lists_of(lines)


def _lists_of(lines: list[str]) -> dict[str, str]:
    lists: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        name, value = line.split(":", 1)
        lists[name.lower()].append(value.strip(" \t"))
    return {name: ", ".join(values) for name, values in lists.items()}


class _Inflated:
    """Undoes gzip and deflate, which nobody asked for, in parts of a bounded size."""

    def __init__(self, coding: str) -> None:
        self._is_known = coding in ("gzip", "x-gzip", "deflate")
        # 32: zlib finds out by itself which of the two it is.
        self._zlib = zlib.decompressobj(32 + zlib.MAX_WBITS)

    def part(self, raw_part: Callable[[], bytes]) -> bytes:
        """The next of what was compressed; empty at its end."""
        if not self._is_known:
            raise BrokenAnswer("a coding that nobody asked for")
        try:
            while not self._zlib.eof:
                raw = self._zlib.unconsumed_tail or raw_part()
                part = self._zlib.decompress(raw, _CHUNK)
                if part:
                    return part
                if not raw:
                    break
        except zlib.error as error:
            raise BrokenAnswer("a broken compression") from error
        # What follows its end is read, so that the connection can be kept.
        while raw_part():
            pass
        return b""
