"""Reads what an answer says of itself (who answered, what it cost, how it ended) from a copy of its bytes."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from app.core.errors import Json
from app.core.money import nanos
from app.core.sse import SseDecoder

_MAX_TOKENS = 10**9
_CONTENT = (
    "content",
    "reasoning",
    "reasoning_content",
    "tool_calls",
    "function_call",
    "refusal",
    "images",
    "audio",
    "reasoning_details",
)

_ENVELOPE = frozenset({"type", "id", "object", "created", "model", "provider"})
"""What an event says of itself, and not of the answer."""


@dataclass(frozen=True)
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
    """The stream said [DONE]."""
    finished: defaultdict[str, bool] = field(default_factory=lambda: defaultdict(bool), compare=False)
    """Which of the choices, by index, have given their finish_reason."""
    choices: int = field(default=1, compare=False)
    """How many were asked for (n); one may begin after another has ended."""
    has_content: bool = field(default=False, compare=False)
    """Text, reasoning, a tool call, an image or a refusal has come."""
    progress: int = field(default=0, compare=False)
    """How often something of use has come; comments and empty events also come from dead streams."""
    events: int = field(default=0, compare=False)
    """How many events have come, whatever was in them."""

    @property
    def whole(self) -> bool:
        """The answer came to its own end; the second finish event or a missing [DONE] does not matter."""
        return self.error is None and (self.done or self.has_finished)

    @property
    def has_finished(self) -> bool:
        """Every choice that was begun has given its finish_reason."""
        return len(self.finished) >= self.choices and all(self.finished.values())


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=lambda _: None)


class BrokenEvent(ValueError):
    """An event of the stream is no JSON object, or larger than any honest one."""


class StreamMeter:
    """
    Meters a chat stream: feed it the bytes that pass, read `reading` at any time.

    The usage may be in any event, the last one counts (never a sum); finish_reason may come twice. The answer ends
    when every one of its choices has.
    """

    max_event_bytes = 8 * 2**20

    def __init__(self, choices: int = 1) -> None:
        self.reading = Reading(choices=choices)
        self._decoder = SseDecoder()

    def feed(self, chunk: bytes) -> None:
        """Take note of a chunk of the stream; raises BrokenEvent where the stream stops being one."""
        for data in self._decoder.feed(chunk):
            # What follows [DONE] is no part of the answer.
            if not self.reading.done:
                self._event(data)
        if self._decoder.pending_bytes > self.max_event_bytes:
            raise BrokenEvent("an event of more than 8 MiB")

    def _event(self, data: bytes) -> None:
        self.reading.events += 1
        if data == b"[DONE]":
            self.reading.done = True
            return
        event = parse(data)
        if not isinstance(event, dict):
            raise BrokenEvent("an event that is not JSON")
        note(self.reading, event)


def read_plain(body: bytes) -> tuple[Json, Reading]:
    """
    The decoded body of a plain answer and what it says of itself; the body is None when it is not a JSON object.

    OpenRouter sends white space ahead of the object while the model works; JSON allows it.
    """
    reading = Reading()
    answer = parse(body)
    if not isinstance(answer, dict):
        return None, reading
    note(reading, answer)
    return answer, reading


def parse(data: bytes) -> Json:
    """The JSON value in these bytes with exact decimals, or None when it is none; NaN, which is no JSON, is null."""
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def note(reading: Reading, answer: dict[str, Json]) -> None:
    """Write into the reading what an answer or one event of it says."""
    reading.generation_id = reading.generation_id or text(answer.get("id"))
    reading.model = text(answer.get("model")) or reading.model
    reading.provider = text(answer.get("provider")) or reading.provider
    if isinstance(answer.get("usage"), dict):
        reading.usage = usage_of(answer["usage"])
        reading.progress += 1
    if answer and not answer.keys() & {"choices", "error", "usage"}:
        # An event of a kind that is not known here says something, unless its kind (a ping) is all that it tells.
        reading.has_content |= not answer.keys() <= _ENVELOPE
        reading.progress += 1
    if answer.get("error"):
        reading.error = answer["error"]
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            _note_choice(reading, choice)


def _note_choice(reading: Reading, choice: dict[str, Json]) -> None:
    reason = text(choice.get("finish_reason"))
    reading.finish_reason = reason or reading.finish_reason
    reading.finished[str(choice.get("index"))] |= reason is not None
    said = choice.get("delta") or choice.get("message")
    has_content = isinstance(said, dict) and any(said.get(name) for name in _CONTENT)
    reading.has_content |= has_content
    reading.progress += has_content or reason is not None
    if choice.get("error") or reason == "error":
        reading.error = reading.error or choice.get("error") or {"message": "The model ended with an error."}


def usage_of(usage: dict[str, Json]) -> Usage:
    """The usage object of an answer with its figures checked: counts in 0…10⁹, a cost that is no less than 0."""
    cost = nanos(usage.get("cost"))
    byok = usage.get("is_byok")
    return Usage(
        prompt_tokens=count(usage.get("prompt_tokens")),
        completion_tokens=count(usage.get("completion_tokens")),
        total_tokens=count(usage.get("total_tokens")),
        cached_tokens=count(_inner(usage, "prompt_tokens_details", "cached_tokens")),
        reasoning_tokens=count(_inner(usage, "completion_tokens_details", "reasoning_tokens")),
        cost=cost if cost is not None and cost >= 0 else None,
        is_byok=byok if isinstance(byok, bool) else None,
    )


def _inner(usage: dict[str, Json], outer: str, inner: str) -> Json:
    details = usage.get(outer)
    return details.get(inner) if isinstance(details, dict) else None


def count(value: Json) -> int | None:
    """The value as a number of tokens, or None when it cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS else None


def text(value: Json) -> str | None:
    """The value as a text of a bounded length, or None when it is none or empty."""
    return value[:256] if isinstance(value, str) and value else None
