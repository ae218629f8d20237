"""Events as the styles write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.core.errors import Json
from app.core.meter import Reading, StreamMeter
from app.core.styles import Style

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def event(kind: str, **members: Any) -> bytes:
    """One named event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def metered(style: Style, stream: bytes, **body: Any) -> Reading:
    """What the style's meter reads in this stream."""
    meter = style.meter(body)
    meter.feed(stream)
    return meter.reading


def plain(style: Style, body: bytes) -> tuple[dict[str, Json] | None, Reading]:
    """The decoded body of a plain answer, and what the style reads in it."""
    reading = Reading()
    return style.read_plain(reading, body), reading


def meter_of(style: Style, stream: bytes) -> StreamMeter:
    """A meter that has seen this stream."""
    meter = style.meter({})
    meter.feed(stream)
    return meter


START = event("message_start", message={
    "id": "msg_1", "model": "anthropic/claude-4.5-sonnet-20250929", "provider": "Anthropic",
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 1,
              "cost": 0},
})  # fmt: skip
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
STOP_BLOCK = event("content_block_stop", index=0)
DELTA = event(
    "message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": None, "output_tokens": 15, "cost": 0.001}
)
STOP = event("message_stop")
MESSAGE = START + BLOCK + TEXT + STOP_BLOCK + DELTA + STOP
