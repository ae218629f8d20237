"""OpenAI's Responses, as OpenRouter speaks them."""

from __future__ import annotations

from app.core import forms
from app.core.errors import BadRequest, GatewayError, Json
from app.core.forms import Field, Kind
from app.core.meter import Reading, text
from app.core.shapes import ERROR_SCHEMA, dump, error_object
from app.core.styles.base import Style
from app.core.styles.usage import of_response

_CLOSING = ("response.completed", "response.incomplete")
_QUIET = ("response.created", "response.in_progress", "response.queued")
"""Events that say nothing of the answer itself; what follows the content of a part repeats it."""

_EMPTY_ITEMS = ("message", "reasoning")
"""Items that begin empty; all others (a function's call) are something from their beginning."""

_WORDS = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
_STATUSES = {
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 402,
}


_ROLES = ("system", "user", "assistant", "developer", "tool", "function")
_ITEM = {"type": "object", "properties": {"role": {"anyOf": [{"enum": list(_ROLES)}, {"type": "null"}]}}}
_INPUT = Field(
    "input",
    Kind(
        "a text, or a list of items",
        {"anyOf": [{"type": "string"}, {"type": "array", "items": _ITEM}]},
        lambda value: isinstance(value, (str, list)),
    ),
    "A text, or items: messages with a role, what tools gave, and others.",
)
_BACKGROUND = Field(
    "background",
    Kind(
        "left out: it makes an answer that nobody waits for, and its cost could not be counted",
        {"const": False},
        lambda value: value is False,
    ),
    "Answers that nobody waits for are not made: their cost could not be counted.",
)


class Responses(Style):
    """
    POST /responses.

    A stream ends with response.completed or response.incomplete, then [DONE]; the first of them tells the usage.
    """

    endpoint = "/responses"
    limits = ("max_output_tokens",)
    talk = "input"
    preamble = "instructions"
    roles = _ROLES
    fields = (_INPUT, Field("prompt", forms.ANYTHING, "A stored prompt, an object, in place of input."), _BACKGROUND)
    demands = (
        {
            "anyOf": [
                {"required": ["input"], "properties": {"input": {"type": ["string", "array"]}}},
                {"required": ["prompt"], "properties": {"prompt": {"type": "object"}}},
            ]
        },
    )
    parts = "output"
    error_schema = {
        **ERROR_SCHEMA,
        "required": ["error", "error_type"],
        "properties": {**ERROR_SCHEMA["properties"], "error_type": {"type": "string"}},
    }
    end_mark = b"data: [DONE]\n\n"
    closes_itself = True
    may_say_nothing = True

    def check(self, body: dict[str, Json]) -> None:
        """An input or a stored prompt, and an answer that is given on this connection."""
        given = _INPUT.of(body)
        if given is None and not isinstance(body.get("prompt"), dict):
            raise _INPUT.refusal()
        for position, item in enumerate(given if isinstance(given, list) else ()):
            if not isinstance(item, dict):
                raise BadRequest("Each item of the input must be an object.", param=f"input[{position}]")
        _BACKGROUND.of(body)

    def note(self, reading: Reading, event: dict[str, Json]) -> None:
        """What one event says."""
        kind = event.get("type")
        if isinstance(kind, str) and kind.endswith(".delta"):
            self._progress(reading, bool(event.get("delta")))
        elif kind in _CLOSING:
            self._note_response(reading, event.get("response"))
            reading.finished["0"] = True
            reading.progress += 1
        elif kind in _QUIET:
            self._note_response(reading, event.get("response"))
        elif kind in ("response.failed", "error") or event.get("error"):
            self._note_failure(reading, event)
        elif kind == "response.output_item.added":
            item = event.get("item")
            self._progress(reading, isinstance(item, dict) and item.get("type") not in _EMPTY_ITEMS)
        elif kind == "response.content_part.added":
            part = event.get("part")
            self._progress(reading, isinstance(part, dict) and bool(part.get("text") or part.get("refusal")))
        else:
            self._progress(reading, has_content=len(event) > 1)

    def note_plain(self, reading: Reading, answer: dict[str, Json]) -> None:
        """What a whole response says."""
        self._note_response(reading, answer)
        if answer.get("error") or answer.get("status") == "failed":
            reading.error = _with_status(answer.get("error"))

    def said(self, answer: dict[str, Json]) -> list[Json] | None:
        """Its items, when it came to its end."""
        over = answer.get("status") in ("completed", "incomplete", "failed")
        return super().said(answer) if over else None

    def error_body(self, error: GatewayError, *, numeric_code: bool, call_id: str) -> dict[str, Json]:
        """OpenAI's envelope, with the error's name beside it as OpenRouter has it there."""
        return {"error": error_object(error, numeric_code=numeric_code), "error_type": error.code}

    def error_event(self, error: GatewayError, reading: Reading, created: int) -> bytes:
        """response.failed, and the error beside the response too: SDKs raise what stands there."""
        told = error_object(error)
        response: dict[str, Json] = {
            "id": reading.generation_id or "",
            "object": "response",
            "created_at": created,
            "model": reading.model or "",
            "status": "failed",
            "completed_at": None,
            "output": [],
            "error": {"code": _WORDS.get(error.status, "server_error"), "message": told["message"]},
            **dict.fromkeys(("incomplete_details", "instructions", "metadata", "temperature", "top_p", "usage")),
            **dict.fromkeys(("frequency_penalty", "presence_penalty", "max_output_tokens")),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        event = {"type": "response.failed", "response": response, "sequence_number": reading.events, "error": told}
        return b"data: " + dump(event) + b"\n\n"

    def tells_error(self, event: dict[str, Json]) -> bool:
        """Every failure has an event of its own kind."""
        return event.get("type") in ("response.failed", "error") or bool(event.get("error"))

    def _note_response(self, reading: Reading, response: Json) -> None:
        if not isinstance(response, dict):
            return
        reading.generation_id = reading.generation_id or text(response.get("id"))
        reading.model = text(response.get("model")) or reading.model
        reading.provider = text(response.get("provider")) or reading.provider
        if isinstance(response.get("usage"), dict):
            reading.usage = of_response(response["usage"])
        status = text(response.get("status"))
        if status in ("completed", "incomplete"):
            reading.finish_reason = status
        items = response.get("output")
        reading.has_content |= isinstance(items, list) and any(map(_has_content, items))

    def _note_failure(self, reading: Reading, event: dict[str, Json]) -> None:
        response = event.get("response")
        self._note_response(reading, response)
        inner = response.get("error") if isinstance(response, dict) else None
        own = event.get("error") or inner or {name: event.get(name) for name in ("code", "message")}
        reading.error = _with_status(own)
        # Nothing that follows could make a whole answer of it.
        reading.done = True

    def _progress(self, reading: Reading, has_content: bool) -> None:
        reading.has_content |= has_content
        reading.progress += has_content


def _has_content(item: Json) -> bool:
    if not isinstance(item, dict):
        return False
    return bool(item.get("content") or item.get("summary")) if item.get("type") in _EMPTY_ITEMS else True


def _with_status(error: Json) -> dict[str, Json]:
    """The error with the HTTP status that its name stands for; the name is kept as error_type."""
    told = error if isinstance(error, dict) else {"message": "The model ended with an error."}
    code = told.get("code")
    if isinstance(code, int):
        return told
    status = _STATUSES.get(str(code), 502)
    return {"error_type": code, **told, "code": status} if isinstance(code, str) else {**told, "code": status}


RESPONSES = Responses()
