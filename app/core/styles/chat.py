"""OpenAI's chat/completions, as OpenRouter speaks it."""

from __future__ import annotations

from app.core import forms
from app.core.errors import BadRequest, GatewayError, Json
from app.core.forms import Field, Kind
from app.core.meter import Reading, text
from app.core.shapes import dump, error_object
from app.core.styles.base import Style, need_list
from app.core.styles.usage import usage_of

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

_TELLING = frozenset({"choices", "error", "usage"})
_ENVELOPE = frozenset({"type", "id", "object", "created", "model", "provider"})
"""What an event says of itself, and not of the answer."""


def messages_of(roles: tuple[str, ...]) -> Field:
    """The field of messages with these roles."""
    role = {"type": "string", "enum": list(roles)}
    message = {"type": "object", "required": ["role"], "properties": {"role": role, "content": {}}}
    schema = {"type": "array", "minItems": 1, "items": message}
    kind = Kind("a list of at least one message", schema, _are_messages)
    return Field("messages", kind, "The messages, each with its role.")


def _are_messages(value: Json) -> bool:
    if not isinstance(value, list):
        return False
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return False
    return bool(value)


class Chat(Style):
    """
    POST /chat/completions.

    The usage may be in any event, the last one counts (never a sum); finish_reason may come twice. The answer ends when
    every one of its choices has.
    """

    endpoint = "/chat/completions"
    limits = ("max_completion_tokens", "max_tokens")
    talk: str | None = "messages"
    roles: tuple[str, ...] = ("system", "user", "assistant", "developer", "tool", "function")
    fields: tuple[Field, ...] = (
        messages_of(roles),
        Field("prompt", forms.ANYTHING, "A text in place of messages."),
        Field("n", forms.ANYTHING, "How many answers are given."),
    )
    demands: tuple[forms.Schema, ...] = (
        {
            "anyOf": [
                {"required": ["messages"], "properties": {"messages": {"type": "array"}}},
                {"required": ["prompt"], "properties": {"prompt": {"type": "string"}, "messages": {"type": "null"}}},
            ]
        },
    )
    parts = "choices"
    end_mark = b"data: [DONE]\n\n"
    chunk = "chat.completion.chunk"
    """What its events call themselves."""
    nothing: dict[str, Json] = {"delta": {}}
    failed: dict[str, Json] = {"delta": {"role": "assistant", "content": ""}}

    def check(self, body: dict[str, Json]) -> None:
        """Messages, each with a role, or a prompt."""
        if body.get("messages") is None and isinstance(body.get("prompt"), str):
            return
        check_messages(body)

    def answers(self, body: dict[str, Json]) -> int:
        """So many as n says."""
        wanted = body.get("n")
        return wanted if isinstance(wanted, int) and wanted > 1 else 1

    def note(self, reading: Reading, event: dict[str, Json]) -> None:
        """What an event or a whole answer says: they differ in little."""
        reading.generation_id = reading.generation_id or text(event.get("id"))
        reading.model = text(event.get("model")) or reading.model
        reading.provider = text(event.get("provider")) or reading.provider
        if isinstance(event.get("usage"), dict):
            reading.usage = usage_of(event["usage"])
            reading.progress += 1
        if event and event.keys().isdisjoint(_TELLING):
            # An event of a kind that is not known here says something, unless its kind (a ping) is all that it tells.
            reading.has_content |= not event.keys() <= _ENVELOPE
            reading.progress += 1
        if event.get("error"):
            reading.error = event["error"]
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._note_choice(reading, choice)

    def _note_choice(self, reading: Reading, choice: dict[str, Json]) -> None:
        reason = text(choice.get("finish_reason"))
        reading.finish_reason = reason or reading.finish_reason
        reading.finished[str(choice.get("index"))] |= reason is not None
        has_content = self.says(choice)
        reading.has_content |= has_content
        reading.progress += has_content or reason is not None
        if choice.get("error") or reason == "error":
            reading.error = reading.error or choice.get("error") or {"message": "The model ended with an error."}

    def says(self, choice: dict[str, Json]) -> bool:
        """Whether a choice brings content."""
        said = choice.get("delta") or choice.get("message")
        return isinstance(said, dict) and any(said.get(name) for name in _CONTENT)

    def as_stream(self, answer: dict[str, Json]) -> bytes | None:
        """All choices in one event, then how they ended, with the usage."""
        shared: dict[str, Json] = {name: answer.get(name) for name in ("id", "created", "model", "provider")}
        shared["object"] = self.chunk
        choices = [choice for choice in self.said(answer) or () if isinstance(choice, dict)]
        said: list[Json] = [{"index": at, **self.piece(each), "finish_reason": None} for at, each in enumerate(choices)]
        ended: list[Json] = [
            {"index": at, **self.nothing, "finish_reason": choice.get("finish_reason") or "stop"}
            for at, choice in enumerate(choices)
        ]
        last = {**shared, "choices": ended, **({"usage": answer["usage"]} if answer.get("usage") else {})}
        events = [dump({**shared, "choices": said}), dump(last), b"[DONE]"]
        return b"".join(b"data: " + event + b"\n\n" for event in events)

    def piece(self, choice: dict[str, Json]) -> dict[str, Json]:
        """What a whole choice says, as a choice of a stream says it."""
        message = dict(choice["message"]) if isinstance(choice.get("message"), dict) else {}
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls) if isinstance(call, dict)]
        return {"delta": message}

    def error_event(self, error: GatewayError, reading: Reading, created: int) -> bytes:
        """The event that OpenRouter's documentation has for it (Streaming)."""
        event = {
            "id": reading.generation_id or "",
            "object": self.chunk,
            "created": created,
            "model": reading.model or "",
            "error": error_object(error, numeric_code=True),
            "choices": [{"index": 0, **self.failed, "finish_reason": "error"}],
        }
        return b"data: " + dump(event) + b"\n\n"


def check_messages(body: dict[str, Json]) -> None:
    """Raise BadRequest unless the messages are some, each with a role."""
    if _are_messages(body.get("messages")):
        return
    for position, message in enumerate(need_list(body, "messages", "message")):
        if not isinstance(message, dict):
            raise BadRequest("Each message must be an object with role and content.", param=f"messages[{position}]")
        if not isinstance(message.get("role"), str):
            raise BadRequest("Each message needs a role, such as user.", param=f"messages[{position}].role")


CHAT = Chat()
