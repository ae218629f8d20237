"""Which answers are fit to be given again: whole ones of text that ended as their model meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.core.errors import Json
from app.core.frozen import frozen
from app.core.meter import BrokenEvent, Reading, StreamMeter, parse
from app.core.styles import Style

_Event = dict[str, Json]


class Judge:
    """
    Reads an answer from a copy of its bytes.

    Fit is what came to its own end and said something, in text: no error, no cut, no refusal, no tool's use, no
    picture; nor an answer that was cut at max_tokens, which is not all that the model had to say.
    """

    def __init__(self, style: Style, body: _Event) -> None:
        self.reading = Reading(choices=style.answers(body), needs_end=style.needs_end)
        self._style = style
        self._kind = _KINDS[style.endpoint]
        self._ends: set[Json] = set()
        self._is_spoiled = False
        self._meter = StreamMeter(self._note, self.reading, closes_itself=style.closes_itself)

    def plain(self, answer: bytes) -> bool:
        """Whether this plain answer is fit."""
        decoded = parse(answer)
        if not isinstance(decoded, dict):
            return False
        self._style.note_plain(self.reading, decoded)
        self._look(decoded, plain=True)
        return self.reading.error is None and self._is_good

    def feed(self, chunk: bytes) -> None:
        """The next bytes of a stream."""
        try:
            self._meter.feed(chunk)
        except BrokenEvent:
            self._is_spoiled = True

    @property
    def is_over(self) -> bool:
        """The stream has said its last word, or can no more be fit."""
        return self.reading.done or self._is_spoiled

    @property
    def is_fit(self) -> bool:
        """Whether all of a fit stream has come."""
        return self.reading.done and self.reading.whole and self._is_good

    @property
    def _is_good(self) -> bool:
        return not self._is_spoiled and self.reading.has_content and bool(self._ends) and self._ends <= self._kind.good

    def _note(self, reading: Reading, event: _Event) -> None:
        self._style.note(reading, event)
        self._look(event, plain=False)

    def _look(self, event: _Event, *, plain: bool) -> None:
        self._ends.update(reason if isinstance(reason, str) else None for reason in self._kind.ends(event, plain))
        self._is_spoiled |= self._kind.is_other(event)


@frozen
class _Kind:
    """How an API style says what an answer is."""

    good: frozenset[Json]
    """The reasons to end of an answer that is fit."""
    ends: Callable[[_Event, bool], Iterator[Json]]
    """The reasons to end in an event, or in a plain answer (True): each that there should be."""
    is_other: Callable[[_Event], bool]
    """Whether the event brings anything but text."""


def _objects(value: Json) -> Iterator[_Event]:
    yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))


def _ends_of_choices(event: _Event, plain: bool) -> Iterator[Json]:
    for choice in _objects(event.get("choices")):
        reason = choice.get("finish_reason")
        if plain or reason is not None:
            yield reason


def _is_more_than_said(event: _Event) -> bool:
    said = (choice.get("delta") or choice.get("message") for choice in _objects(event.get("choices")))
    other = ("tool_calls", "function_call", "refusal", "images", "audio")
    return any(isinstance(each, dict) and any(each.get(name) for name in other) for each in said)


def _ends_of_message(event: _Event, plain: bool) -> Iterator[Json]:
    if plain:
        yield event.get("stop_reason")
    elif event.get("type") == "message_delta":
        yield from (delta["stop_reason"] for delta in _objects(event.get("delta")) if delta.get("stop_reason"))


def _is_other_block(event: _Event) -> bool:
    began = [block for message in _objects(event.get("message")) for block in _objects(message.get("content"))]
    blocks = [*_objects(event.get("content")), *_objects(event.get("content_block")), *began]
    return any(block.get("type") not in ("text", "thinking", "redacted_thinking") for block in blocks)


def _ends_of_response(event: _Event, plain: bool) -> Iterator[Json]:
    if plain:
        yield event.get("status")
    elif event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
        yield from (response.get("status") for response in _objects(event.get("response")))


def _is_other_item(event: _Event) -> bool:
    closed = [item for response in _objects(event.get("response")) for item in _objects(response.get("output"))]
    items = [*_objects(event.get("output")), *_objects(event.get("item")), *closed]
    said = [part for item in items if item.get("type") == "message" for part in _objects(item.get("content"))]
    parts = [*said, *_objects(event.get("part"))]
    return any(item.get("type") not in ("message", "reasoning") for item in items) or any(
        part.get("type") not in ("output_text", "reasoning_text", "summary_text") for part in parts
    )


def _ends_of_vectors(event: _Event, plain: bool) -> Iterator[Json]:
    yield "given" if event.get("data") else None


_KINDS = {
    "/chat/completions": _Kind(frozenset({"stop"}), _ends_of_choices, _is_more_than_said),
    "/completions": _Kind(frozenset({"stop"}), _ends_of_choices, _is_more_than_said),
    "/messages": _Kind(frozenset({"end_turn", "stop_sequence"}), _ends_of_message, _is_other_block),
    "/responses": _Kind(frozenset({"completed"}), _ends_of_response, _is_other_item),
    "/embeddings": _Kind(frozenset({"given"}), _ends_of_vectors, lambda _: False),
}
"""By the path of the API style."""
