"""How errors look on the wire."""

from __future__ import annotations

import json
import math
from decimal import Decimal

from app.core.errors import GatewayError, Json
from app.core.meter import Reading
from app.core.redact import redact


def error_object(error: GatewayError, *, numeric_code: bool = False) -> dict[str, Json]:
    """
    The `error` member of an answer in OpenAI's shape, with what OpenRouter said kept beside it.

    With `numeric_code` the code is the HTTP status, as OpenRouter's own SDKs require, and ours moves to
    metadata.error_type, where OpenRouter keeps its own.
    """
    metadata = error.metadata
    if numeric_code:
        metadata = {"error_type": error.code, **(metadata or {})}
    members: dict[str, Json] = _redacted(
        {
            "message": error.message,
            "type": error.type,
            "code": error.status if numeric_code else error.code,
            "param": error.param,
            "details": error.details,
            "retry_after": error.retry_after_s,
            "metadata": metadata,
            "availability": error.availability,
        }
    )
    return {name: value for name, value in members.items() if value is not None or name == "param"}


def _redacted(value: Json) -> Json:
    """An upstream may repeat what it was sent, and that includes the key."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(inner) for name, inner in value.items()}
    return [_redacted(inner) for inner in value] if isinstance(value, list) else value


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
    choices = answer["choices"] if isinstance(answer.get("choices"), list) else []
    said: list[Json] = []
    ended: list[Json] = []
    for position, choice in enumerate(each for each in choices if isinstance(each, dict)):
        message = dict(choice["message"]) if isinstance(choice.get("message"), dict) else {}
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls) if isinstance(call, dict)]
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
