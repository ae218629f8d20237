"""Anthropic's Messages, as OpenRouter speaks them."""

from __future__ import annotations

from dataclasses import replace

from app.core import forms
from app.core.errors import BadRequest, GatewayError, Json
from app.core.forms import Field, Kind
from app.core.meter import Reading, Usage, text
from app.core.shapes import dump, error_object
from app.core.styles.base import Style
from app.core.styles.chat import check_messages, messages_of
from app.core.styles.fields import list_of_models
from app.core.styles.usage import of_message

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Status → error type (Anthropic docs, Errors; the enum of OpenRouter's specification)."""

_NO_OVERLOAD = {"paused": "permission_error", "ended": "api_error"}
"""Code → type where a 503 is no overload: Claude Code asks an overloaded server for minutes, x-should-retry or not."""

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
_DELTAS = ("text", "partial_json", "thinking", "signature", "citation", "content", "encrypted_content")
_QUIET = ("message_start", "ping", "content_block_stop")
"""Events that say nothing of the answer itself."""


_FALLBACKS = Field(
    "fallbacks",
    Kind(
        'a list such as [{"model": "author/model"}]',
        {
            "type": "array",
            "items": {"type": "object", "required": ["model"], "properties": {"model": forms.MODEL.schema}},
        },
        lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    ),
    "Anthropic's own word for `models`.",
)
_SOME = {"type": "array", "minItems": 1}


class Messages(Style):
    """
    POST /messages.

    A stream ends with message_stop and nothing else; its usage comes in pieces, in message_start and message_delta.
    """

    endpoint = "/messages"
    limits = ("max_tokens",)
    chain_fields = ("models", "route", "fallbacks")
    talk = "messages"
    preamble = "system"
    roles = ("user", "assistant", "system")
    fields = (replace(messages_of(roles), is_needed=True), _FALLBACKS)
    demands = ({"not": {"required": ["models", "fallbacks"], "properties": {"models": _SOME, "fallbacks": _SOME}}},)
    parts = "content"
    error_schema = {
        "type": "object",
        "required": ["type", "error", "request_id"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message", "error_type"],
                "properties": {
                    "type": {"enum": sorted({*_TYPES.values(), "invalid_request_error", "api_error"})},
                    "message": {"type": "string"},
                    "error_type": {"type": "string", "description": "The gateway's own code."},
                },
            },
            "request_id": {"type": "string"},
        },
    }
    closes_itself = True
    needs_end = True
    may_say_nothing = True

    def check(self, body: dict[str, Json]) -> None:
        """Messages, each with a role."""
        check_messages(body)

    def fallbacks(self, body: dict[str, Json]) -> tuple[str, ...]:
        """Those in `models`, or in Anthropic's own `fallbacks`; OpenRouter refuses both at once, too."""
        wanted = _FALLBACKS.of(body)
        if not wanted:
            return list_of_models(body)
        if body.get("models"):
            raise BadRequest("fallbacks and models say the same; keep one.", param="fallbacks")
        return list_of_models({"models": [each.get("model") for each in wanted]})

    def note(self, reading: Reading, event: dict[str, Json]) -> None:
        """What one event says."""
        kind = event.get("type")
        if kind == "content_block_delta":
            delta = event.get("delta")
            self._progress(reading, isinstance(delta, dict) and any(delta.get(name) for name in _DELTAS))
        elif kind == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                self._note_message(reading, message)
                # What the message will cost is not known when it begins, whatever stands there.
                self._note_usage(reading, message.get("usage"), with_cost=False)
        elif kind == "content_block_start":
            block = event.get("content_block")
            self._progress(reading, isinstance(block, dict) and _has_content(block))
        elif kind == "message_delta":
            self._note_delta(reading, event)
        elif kind == "message_stop":
            reading.done = True
        elif kind == "error" or event.get("error"):
            reading.error = _with_status(event.get("error"))
            # Nothing that follows could make a whole answer of it.
            reading.done = True
        elif kind not in _QUIET:
            self._progress(reading, has_content=len(event) > 1)

    def note_plain(self, reading: Reading, answer: dict[str, Json]) -> None:
        """What a whole message says."""
        if answer.get("error"):
            reading.error = _with_status(answer["error"])
            return
        self._note_message(reading, answer)
        self._note_usage(reading, answer.get("usage"))
        reading.finish_reason = text(answer.get("stop_reason"))
        reading.has_content = any(isinstance(block, dict) and _has_content(block) for block in self.said(answer) or ())

    def error_body(self, error: GatewayError, *, numeric_code: bool, call_id: str) -> dict[str, Json]:
        """Anthropic's envelope; our code stands where OpenRouter has its own, in error.error_type."""
        return {"type": "error", "error": _error(error), "request_id": call_id}

    def error_event(self, error: GatewayError, reading: Reading, created: int) -> bytes:
        """Anthropic's error event."""
        event = {"type": "error", "error": _error(error), "request_id": reading.generation_id}
        return b"event: error\ndata: " + dump(event) + b"\n\n"

    def _note_message(self, reading: Reading, message: dict[str, Json]) -> None:
        name = text(message.get("id"))
        if reading.generation_id is None and name is not None and name.startswith("gen-"):
            # "msg_…" is the provider's name for it, which OpenRouter cannot be asked for.
            reading.generation_id = name
        reading.model = text(message.get("model")) or reading.model
        reading.provider = text(message.get("provider")) or reading.provider

    def _note_delta(self, reading: Reading, event: dict[str, Json]) -> None:
        delta = event.get("delta")
        reason = text(delta.get("stop_reason")) if isinstance(delta, dict) else None
        if reason is not None:
            reading.finish_reason = reason
            reading.finished["0"] = True
        self._note_usage(reading, event.get("usage"))
        reading.progress += 1

    def _note_usage(self, reading: Reading, usage: Json, *, with_cost: bool = True) -> None:
        if not isinstance(usage, dict):
            return
        known = {name: value for name, value in vars(reading.usage or Usage()).items() if value is not None}
        told = {name: value for name, value in vars(of_message(usage)).items() if value is not None}
        if not with_cost:
            told.pop("cost", None)
        merged = {**known, **told}
        if {"prompt_tokens", "completion_tokens"} <= merged.keys():
            merged["total_tokens"] = merged["prompt_tokens"] + merged["completion_tokens"]
        reading.usage = Usage(**merged)

    def _progress(self, reading: Reading, has_content: bool) -> None:
        reading.has_content |= has_content
        reading.progress += has_content


def _has_content(block: dict[str, Json]) -> bool:
    """Whether a block says something yet: text and thinking begin empty, all others (a tool's use) are something."""
    kind = block.get("type")
    return bool(block.get(kind)) if kind in ("text", "thinking") else True


def _error(error: GatewayError) -> dict[str, Json]:
    usual = _TYPES.get(error.status, "invalid_request_error" if error.status < 499 else "api_error")
    kind = _NO_OVERLOAD.get(error.code, usual)
    told = {name: value for name, value in error_object(error).items() if name != "param" or value is not None}
    code = told.pop("code")
    return {**told, "type": kind, "error_type": code}


def _with_status(error: Json) -> dict[str, Json]:
    """The error with the HTTP status that its type stands for, where it names none itself."""
    told = error if isinstance(error, dict) else {"message": str(error)}
    status = _STATUSES.get(str(told.get("type")))
    return {"code": status, **told} if status is not None and not isinstance(told.get("code"), int) else told


MESSAGES = Messages()
