"""What the gateway must know of an API style; everything else of a request or an answer passes as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from app.core import forms, shapes
from app.core.errors import BadRequest, GatewayError, Json
from app.core.forms import Field, Schema
from app.core.frozen import frozen
from app.core.meter import Reading, StreamMeter, parse
from app.core.shapes import error_object
from app.core.styles.fields import MODEL, MODELS, NEEDS_MODEL, PROVIDER, STREAM, list_of_models, model_of
from app.core.styles.parts import Attached, attached


@frozen
class Wish:
    """What the gateway itself needs to know of a request."""

    model: str
    """Empty when only `models` names any."""
    fallbacks: tuple[str, ...]
    stream: bool


class Style(ABC):
    """One API style: how its requests, answers, streams and errors are written. Styles hold no state."""

    endpoint: str
    """Its path at OpenRouter, and below each of the gateway's addresses."""
    limits: tuple[str, ...] = ()
    """The fields that may hold the longest answer in tokens, the usual one last; none where answers have no tokens."""
    fields: tuple[Field, ...] = ()
    """What it reads of a request beside what all styles have."""
    demands: tuple[Schema, ...] = ()
    """What `check` and `fallbacks` ask of a body that no field says for itself."""
    parts: str
    """The field of a plain answer that holds its parts."""
    streams = True
    """An answer may come as events."""
    error_schema: Schema = shapes.ERROR_SCHEMA
    """What `error_body` gives."""
    chain_fields: tuple[str, ...] = ("models", "route")
    """What the gateway does itself, and does not send on."""
    talk: str | None = None
    """The field whose list holds messages with roles."""
    preamble: str | None = None
    """The field that holds what other styles say in a system message."""
    roles: tuple[str, ...] = ()
    """The roles that such a message may have."""
    catalogue = "/models"
    """Where OpenRouter lists the models that speak it."""
    end_mark = b""
    """What ends a whole stream, for one that has everything else."""
    closes_itself = False
    """Its streams have a closing event of their own: [DONE] alone ends nothing."""
    needs_end = False
    """Only that closing event makes an answer whole."""
    may_say_nothing = False
    """An answer without any part is one."""

    # Requests

    def read(self, body: dict[str, Json]) -> Wish:
        """The wish in this body; raises BadRequest naming the field that is wrong."""
        self.check(body)
        return Wish(model_of(body), self.fallbacks(body), bool(STREAM.of(body)))

    def schema(self) -> Schema:
        """What `read` lets through, with roles and preferences as they are by default."""
        shared = (MODEL, MODELS, *((STREAM,) if self.streams else ()), PROVIDER)
        counted = (Field(name, forms.ANYTHING, "The longest answer, in tokens.") for name in self.limits)
        return forms.form((*shared, *self.fields, *counted), allOf=[NEEDS_MODEL, *self.demands])

    @abstractmethod
    def check(self, body: dict[str, Json]) -> None:
        """Raise BadRequest for what must be right before money is spent; the rest is OpenRouter's to judge."""

    def fallbacks(self, body: dict[str, Json]) -> tuple[str, ...]:
        """The models that may answer in place of the first; raises BadRequest."""
        return list_of_models(body)

    def answers(self, body: dict[str, Json]) -> int:
        """How many answers are asked for and given."""
        return 1

    def billed(self, body: dict[str, Json]) -> int:
        """How many answers are made, and so billed; 0 where an answer has no tokens."""
        return self.answers(body)

    def prompts(self, body: dict[str, Json]) -> int:
        """How many prompts there are, each of which may be as long as the model takes."""
        return 1

    def attached(self, body: dict[str, Json]) -> Attached:
        """What the prompt holds beside text."""
        return attached(body.get(self.talk)) if self.talk is not None else Attached()

    def within(self, body: dict[str, Json], max_tokens: int) -> dict[str, Json]:
        """The body with no more than so many tokens of an answer."""
        if not self.limits:
            return body
        name = next((limit for limit in self.limits if limit in body), self.limits[-1])
        return {**body, name: max_tokens}

    # Answers

    def meter(self, body: dict[str, Json]) -> StreamMeter:
        """A meter for the stream that answers this body."""
        reading = Reading(choices=self.answers(body), needs_end=self.needs_end)
        return StreamMeter(self.note, reading, closes_itself=self.closes_itself)

    @abstractmethod
    def note(self, reading: Reading, event: dict[str, Json]) -> None:
        """Write into the reading what an event of a stream says."""

    def note_plain(self, reading: Reading, answer: dict[str, Json]) -> None:
        """Write into the reading what a plain answer says."""
        self.note(reading, answer)

    def read_plain(self, reading: Reading, body: bytes) -> dict[str, Json] | None:
        """
        Decode the body of a plain answer and write into the reading what it says; None when it is not a JSON object.

        OpenRouter sends white space ahead of the object while the model works; JSON allows it.
        """
        answer = parse(body)
        if not isinstance(answer, dict):
            return None
        self.note_plain(reading, answer)
        return answer

    def said(self, answer: dict[str, Json]) -> list[Json] | None:
        """The parts of a plain answer; None when it is no answer of this style."""
        parts = answer.get(self.parts)
        return parts if isinstance(parts, list) else None

    def answer_schema(self) -> Schema:
        """What every plain answer is."""
        return {"type": "object", "required": [self.parts], "properties": {self.parts: {"type": "array"}}}

    def as_stream(self, answer: dict[str, Json]) -> bytes | None:
        """A plain answer as the stream that would have said the same; None where that is not known."""
        return None

    # Errors

    def error_body(self, error: GatewayError, *, numeric_code: bool, call_id: str) -> dict[str, Json]:
        """The body of an answer that is an error."""
        return {"error": error_object(error, numeric_code=numeric_code)}

    @abstractmethod
    def error_event(self, error: GatewayError, reading: Reading, created: int) -> bytes:
        """The event that ends a broken stream; nothing that closes an answer follows it. `created` since 1970."""

    def tells_error(self, event: dict[str, Json]) -> bool:
        """Whether a client that reads this event knows that the answer failed."""
        return bool(event.get("error"))


def need_list(body: dict[str, Json], name: str, of: str) -> list[Json]:
    """The list in this field; raises BadRequest when it is none or empty."""
    found = body.get(name)
    if not isinstance(found, list) or not found:
        raise BadRequest(f"{name} must be a list of at least one {of}.", param=name)
    return found
