"""Server-sent events, decoded incrementally (WHATWG HTML, "Interpreting an event stream")."""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"
_BLANK_LINES = (b"\n\n", b"\r\r", b"\n\r\n", b"\n\r")


def split(stream: bytes) -> tuple[bytes, bytes]:
    """The bytes up to the last blank line, which are whole events and comments, and the beginning that follows it."""
    if stream.endswith(b"\n\n"):
        return stream, b""
    end = max((at + len(mark) for mark in _BLANK_LINES if (at := stream.rfind(mark)) >= 0), default=0)
    return stream[:end], stream[end:]


def head(stream: bytes, events: int) -> bytes:
    """The bytes up to and with the blank line that ends the nth event; these are whole events."""
    decoder, end = SseDecoder(), 0
    while events > 0 and end < len(stream):
        ends = [at for mark in (b"\n\n", b"\n\r\n", b"\r\r") if (at := stream.find(mark, end) + len(mark)) > end + 1]
        following = min(ends, default=len(stream))
        events -= len(decoder.feed(stream[end:following]))
        end = following
    return stream[:end]


def _lines_alone(chunk: bytes) -> list[bytes] | None:
    """The data of whole events of one line each, as nearly all come; None where the chunk is anything else."""
    if chunk[:6] != b"data: " or chunk[-2:] != b"\n\n" or b"\r" in chunk:
        return None
    events = chunk[6:-2].split(b"\n\ndata: ")
    return events if chunk.count(b"\n") == 2 * len(events) else None


class SseDecoder:
    """
    Turns the bytes of an event stream, cut anywhere, into the data of its events.

    Comments and the fields event, id and retry are passed over: nothing OpenRouter sends on a chat stream needs them.
    Lines end with LF, CR or CRLF. Data are bytes: cutting inside a character or at U+2028 changes nothing.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._at_start = True
        self._skip_lf = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that this chunk completes, in order."""
        alone = _lines_alone(chunk) if self._is_between else None
        if alone is not None:
            return alone
        events: list[bytes] = []
        for line in self._lines(chunk):
            if line:
                self._take(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        return events

    @property
    def _is_between(self) -> bool:
        """Nothing of an event has come that is not over."""
        return not (self._rest or self._data or self._at_start or self._skip_lf)

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished event is kept, in bytes."""
        return len(self._rest) + sum(map(len, self._data)) + len(self._data)

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value[1:] if value[:1] == b" " else value)

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._skip_lf and chunk:
            # The CR of a CRLF ended the chunk before; its LF is no second line end.
            self._skip_lf = False
            chunk = chunk[1:] if chunk[:1] == b"\n" else chunk
        text = self._rest + chunk
        if self._at_start:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            text = text.removeprefix(_BOM)
            self._at_start = False
        if b"\r" in text:
            self._skip_lf = text[-1:] == b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = text.split(b"\n")
        return lines
