from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.frame import Frame
from app.core.meter import BrokenEvent, Reading, parse
from app.core.styles import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Style
from tests.core.quick import quick
from tests.core.test_meter import SAMPLES

BEFORE, AFTER = b'{"id":"gen-1","choices":[{"index":0,"delta":{"content":"', b'"},"finish_reason":null}]}'
FRAMED = BEFORE + b"Hi" + AFTER


def noted(style: Style, events: list[bytes]) -> Reading | None:
    """What the events say when each of them is decoded; None where one is no event."""
    meter = style.meter({})
    for event in events:
        decoded = parse(event)
        if not isinstance(decoded, dict):
            return None
        style.note(meter.reading, decoded)
        meter.reading.events += 1
        if meter.reading.done:
            break
    return meter.reading


def metered(style: Style, events: list[bytes]) -> Reading | None:
    """What a meter reads of them."""
    meter = style.meter({})
    try:
        for event in events:
            meter.feed(b"data: " + event + b"\n\n")
    except BrokenEvent:
        return None
    return meter.reading


def facts(reading: Reading | None) -> dict[str, Any] | None:
    """All of a reading, also what is not compared otherwise."""
    return None if reading is None else vars(reading)


@pytest.mark.parametrize(
    ("event", "holds"),
    [
        pytest.param(BEFORE + b"there" + AFTER, True, id="another text"),
        pytest.param(BEFORE + b'a \\"b\\"\\n\\\\' + AFTER, True, id="escapes"),
        pytest.param(BEFORE + "für 世界".encode() + AFTER, True, id="other letters"),
        pytest.param(BEFORE + AFTER, False, id="no text"),
        pytest.param(BEFORE + b'","role":"' + AFTER, False, id="more than a text"),
        pytest.param(BEFORE + b"\\" + AFTER, False, id="an escape that takes the quote away"),
        pytest.param(BEFORE + b"\\u0041" + AFTER, False, id="an escape by number"),
        pytest.param(BEFORE + b"\\x" + AFTER, False, id="no escape of JSON's"),
        pytest.param(BEFORE + b"a\tb" + AFTER, False, id="a control character"),
        pytest.param(BEFORE + b"a\xc3" + AFTER, False, id="half a letter"),
        pytest.param(BEFORE + b"a" + AFTER.replace(b"null", b'"stop"'), False, id="another ending"),
        pytest.param(BEFORE.replace(b"gen-1", b"gen-2") + b"a" + AFTER, False, id="another beginning"),
        pytest.param(BEFORE[:-1] + AFTER[1:], False, id="shorter than the frame"),
    ],
)
def test_holds(event: bytes, holds: bool) -> None:
    """A frame holds the events that JSON decodes to the same but for one text, which is not empty."""
    frame = Frame.of(FRAMED)

    assert frame is not None
    assert holds == frame.holds(event)


@pytest.mark.parametrize("event", [b'{"content":""}', b'{"usage":{"cost":1}}', b'{"delta":"a"}', b"", b'{"content":"a'])
def test_no_frame(event: bytes) -> None:
    """What brings no text where answers have theirs has no frame."""
    assert Frame.of(event) is None


def test_large_event() -> None:
    """An event of a megabyte of escapes takes no more memory than any other."""
    event = BEFORE + b"\\n" * 2**19 + AFTER
    frame = Frame.of(FRAMED)
    tracemalloc.start()
    try:
        held = frame is not None and frame.holds(event) and Frame.of(event) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held
    assert peak < 5 * len(event)


TEXTS = st.text(max_size=6) | st.sampled_from(["a", "b c", '"', "\\", "ü", "\x00", '","usage":{"cost":5},"x":"'])
FLAT = {"id": "gen-1", "model": "a/b"}


def chat(content: str, **more: Any) -> dict[str, Any]:
    """A chunk of a chat."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {**FLAT, "choices": [{**choice, **more}]}


SHAPES: list[Any] = [
    chat,
    lambda text: chat(text, finish_reason="stop"),
    lambda text: chat(text, index=1),
    lambda text: {**chat(text), "usage": {"cost": 0.5}},
    lambda text: {**chat(text), "model": text},
    lambda text: {**chat("a"), "error": {"message": "broken", "content": text}},
    lambda text: {"error": {"message": "broken", "content": text}, **chat("a")},
    lambda text: {**FLAT, "choices": [], "content": text},
    lambda text: {**FLAT, "text": text},
    lambda text: {"choices": [{"index": 0, "text": text, "finish_reason": None}]},
    lambda text: {"choices": [{"delta": {"reasoning": text, "reasoning_details": [{"text": text}]}}]},
    lambda text: {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": text}}]}}]},
    lambda text: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
    lambda text: {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": text}},
    lambda text: {"type": "ping", "text": text},
    lambda text: {"type": "message_stop", "text": text},
    lambda text: {"type": "error", "error": {"message": text, "text": text}},
    lambda text: {"type": "message_delta", "delta": {"text": text}, "usage": {"output_tokens": 5}},
    lambda text: {"type": "response.output_text.delta", "delta": text, "text": text},
]


@st.composite
def runs(draw: st.DrawFn) -> list[bytes]:
    """Events of few shapes, many of which follow their like; some are spoiled."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    events = []
    for shape in draw(st.lists(st.sampled_from(shapes), min_size=3, max_size=12)):
        event = json.dumps(shape(draw(TEXTS)), ensure_ascii=draw(st.booleans()), separators=(",", ":"))
        raw = event.encode("utf-8", "surrogatepass")
        at = draw(st.none() | st.integers(0, len(raw)) if draw(st.integers(0, 9)) == 0 else st.none())
        events.append(raw if at is None else raw[:at] + raw[at + 1 :])
    return events


@quick
@given(st.sampled_from([CHAT, COMPLETIONS, MESSAGES, RESPONSES]), runs())
def test_as_if_decoded(style: Style, events: list[bytes]) -> None:
    """A meter reads of a stream what it would if it decoded every event."""
    events = [event for event in events if not {b"\n", b"\r"} & {event[at : at + 1] for at in range(len(event))}]

    assert facts(noted(style, events)) == facts(metered(style, events))


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([{**chat("Hi"), "model": name} for name in "aaaba"], id="a model that comes back"),
        pytest.param([chat("Hi", finish_reason=end) for end in (None, None, None, "stop", None)], id="an end between"),
        pytest.param([{"error": {"content": text}, **chat("a")} for text in "abcd"], id="an error in other words"),
    ],
)
def test_same_frame_again(events: list[dict[str, Any]]) -> None:
    """That holds where an event undoes what the frame before it said, and where the text is no answer's."""
    raw = [json.dumps(event, separators=(",", ":")).encode() for event in events]

    assert facts(noted(CHAT, raw)) == facts(metered(CHAT, raw))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.sse")), ids=lambda path: str(path.name).partition(".")[0])
def test_recorded(path: Any) -> None:
    """So it does of the recorded streams, each event of which comes three times."""
    style = RESPONSES if path.name.startswith("responses") else CHAT
    told = [part[6:] for part in path.read_bytes().split(b"\n\n") if part.startswith(b"data: {")]
    events = [event for event in told for _ in range(3)]

    assert events
    assert facts(noted(style, events)) == facts(metered(style, events))
