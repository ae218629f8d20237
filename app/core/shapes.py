"""How errors look on the wire."""

from __future__ import annotations

import json
import math
from decimal import Decimal

from app.core.errors import GatewayError, Json
from app.core.meter import Reading


def error_object(error: GatewayError, *, numeric_code: bool = False) -> dict[str, Json]:
    """
    The `error` member of an answer in OpenAI's shape, with what OpenRouter said kept beside it.

    With `numeric_code` the code is the HTTP status, as OpenRouter's own SDKs require, and ours moves to
    metadata.error_type, where OpenRouter keeps its own.
    """
    metadata = error.metadata
    if numeric_code:
        metadata = {"error_type": error.code, **(metadata or {})}
    members: dict[str, Json] = {
        "message": error.message,
        "type": error.type,
        "code": error.status if numeric_code else error.code,
        "param": error.param,
        "details": error.details,
        "retry_after": error.retry_after_s,
        "metadata": metadata,
        "availability": error.availability,
    }
    return {name: value for name, value in members.items() if value is not None or name == "param"}


def error_event(error: GatewayError, reading: Reading, created: int) -> bytes:
    """The event that ends a broken chat stream (OpenRouter docs, Streaming): no [DONE] follows it."""
    event = {
        "id": reading.generation_id or "",
        "object": "chat.completion.chunk",
        "created": created,
        "model": reading.model or "",
        "error": error_object(error, numeric_code=True),
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}],
    }
    return b"data: " + dump(event) + b"\n\n"


def as_stream(answer: dict[str, Json]) -> bytes:
    """A plain chat answer as the stream that would have said the same."""
    shared: dict[str, Json] = {name: answer.get(name) for name in ("id", "created", "model", "provider")}
    shared["object"] = "chat.completion.chunk"
    said: list[Json] = []
    ended: list[Json] = []
    for position, choice in enumerate(answer["choices"]):
        message = dict(choice.get("message") or {})
        if message.get("tool_calls"):
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
        said.append({"index": position, "delta": message, "finish_reason": None})
        ended.append({"index": position, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"})
    last = {**shared, "choices": ended, **({"usage": answer["usage"]} if answer.get("usage") else {})}
    events = [dump({**shared, "choices": said}), dump(last), b"[DONE]"]
    return b"".join(b"data: " + event + b"\n\n" for event in events)


def dump(value: Json) -> bytes:
    """Compact JSON; decimals that came from upstream go out as numbers again, halves of surrogate pairs as "?"."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_number).encode(errors="replace")


def _number(value: object) -> float | None:
    if isinstance(value, Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    raise TypeError(f"not JSON: {type(value).__name__}")
