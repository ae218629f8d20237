"""Reads what an answer says of itself (who answered, what it cost, how it ended) from a copy of its bytes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from app.core.errors import Json
from app.core.frame import Frame
from app.core.frozen import frozen
from app.core.sse import SseDecoder

_MAX_TOKENS = 10**9


@frozen
class Usage:
    """What OpenRouter counted and charged; a figure it did not give, or gave absurdly, is None."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: int | None = None
    """Nano-dollars."""
    is_byok: bool | None = None


@dataclass
class Reading:
    """What has been read of one answer so far."""

    generation_id: str | None = None
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    error: Json = None
    done: bool = False
    """The stream said its last word: [DONE], or what the API style has for it."""
    finished: defaultdict[str, bool] = field(default_factory=lambda: defaultdict(bool), compare=False)
    """Which of the choices, by index, have given their finish_reason."""
    choices: int = field(default=1, compare=False)
    """How many were asked for (n); one may begin after another has ended."""
    needs_end: bool = field(default=False, compare=False)
    """Nothing but the stream's own end makes the answer whole, also after its last finish_reason."""
    has_content: bool = field(default=False, compare=False)
    """Text, reasoning, a tool call, an image or a refusal has come."""
    progress: int = field(default=0, compare=False)
    """How often something of use has come; comments and empty events also come from dead streams."""
    events: int = field(default=0, compare=False)
    """How many events have come, whatever was in them."""

    def twin(self) -> Reading:
        """Another that has read the same, and reads on by itself."""
        twin = Reading()
        vars(twin).update(vars(self), finished=self.finished.copy())
        return twin

    @property
    def whole(self) -> bool:
        """The answer came to its own end; the second finish event or a missing [DONE] does not matter."""
        return self.error is None and (self.done or (self.has_finished and not self.needs_end))

    @property
    def has_finished(self) -> bool:
        """Every choice that was begun has given its finish_reason."""
        return len(self.finished) >= self.choices and all(self.finished.values())


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=lambda _: None)


class BrokenEvent(ValueError):
    """An event of the stream is no JSON object, or larger than any honest one."""


Note = Callable[[Reading, dict[str, Json]], None]
"""Writes into a reading what one event says, in the language of one API style."""


class StreamMeter:
    """
    Meters a stream: feed it the bytes that pass, read `reading` at any time.

    `note` reads the events. With `closes_itself` the style has a closing event of its own, and a [DONE] without it is
    no end but a broken stream.
    """

    max_event_bytes = 8 * 2**20

    def __init__(self, note: Note, reading: Reading, *, closes_itself: bool = False) -> None:
        self.reading = reading
        self._note = note
        self._closes_itself = closes_itself
        self._decoder = SseDecoder()
        self._last: bytes | None = None
        self._frame: Frame | None = None

    def feed(self, chunk: bytes) -> None:
        """Take note of a chunk of the stream; raises BrokenEvent where the stream stops being one."""
        for data in self._decoder.feed(chunk):
            # What follows the last word is no part of the answer.
            if not self.reading.done:
                self._event(data)
        if self._decoder.pending_bytes > self.max_event_bytes:
            raise BrokenEvent("an event of more than 8 MiB")

    def _event(self, data: bytes) -> None:
        self.reading.events += 1
        if self._frame is not None and self._frame.holds(data):
            self.reading.progress += 1
            return
        if data == b"[DONE]":
            if self._closes_itself and not self.reading.whole:
                raise BrokenEvent("the mark of an end before the answer's own end")
            self.reading.done = True
            return
        event = parse(data)
        if not isinstance(event, dict):
            raise BrokenEvent("an event that is not JSON")
        before = self.reading.progress
        self._note(self.reading, event)
        self._learn(data, event, self.reading.progress - before)

    def _learn(self, data: bytes, event: dict[str, Json], progress: int) -> None:
        """
        Of two events in the same frame the second shows whether others in it bring anything but more text.

        That holds until an event of another frame is read: the first one may then say again what that has changed.
        """
        last = Frame.of(self._last) if progress == 1 and self._last is not None else None
        self._frame = None
        if last is not None and last.holds(data):
            again = self.reading.twin()
            self._note(again, event)
            again.progress -= 1
            if vars(again) == vars(self.reading) and again.error is None:
                self._frame = last
        self._last = data


def parse(data: bytes) -> Json:
    """The JSON value in these bytes with exact decimals, or None when it is none; NaN, which is no JSON, is null."""
    try:
        text = data.decode("utf-8").strip(" \t\r\n")
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


def count(value: Json) -> int | None:
    """The value as a number of tokens, or None when it cannot be one."""
    # Its very type: True is an int too.
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def text(value: Json) -> str | None:
    """The value as a text of a bounded length, or None when it is none or empty."""
    return value[:256] if isinstance(value, str) and value else None
