"""JSON as it goes out, and the error object of the OpenAI family of styles."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal

from app.core.errors import GatewayError, Json
from app.core.redact import redact

ERROR_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param"],
            "properties": {
                "message": {"type": "string", "description": "For people: what happened, and what to do."},
                "type": {"type": "string"},
                "code": {"type": ["string", "integer"], "description": "Below /api/v1 the HTTP status, else a word."},
                "param": {"type": ["string", "null"], "description": "The field that is wrong."},
                "details": {"type": "object"},
                "retry_after": {"type": "integer", "description": "Seconds."},
                "metadata": {"type": "object", "description": "What OpenRouter told beside."},
                "availability": {"type": "object"},
            },
        }
    },
}
"""A body with an `error_object`."""


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


def dump(value: Json) -> bytes:
    """Compact JSON; decimals that came from upstream go out as numbers again, halves of surrogate pairs as "?"."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_number).encode(errors="replace")


def _number(value: object) -> float | None:
    if isinstance(value, Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    raise TypeError(f"not JSON: {type(value).__name__}")
