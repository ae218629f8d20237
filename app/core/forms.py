"""What requests may hold: each field once, for the reader that checks it and for the description that promises it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from app.core.errors import BadRequest, Json
from app.core.frozen import frozen

Schema = Mapping[str, Json]
"""JSON Schema, draft 2020-12, as OpenAPI 3.1 has it."""


@frozen
class Kind:
    """
    A kind of value: in words, as JSON Schema, and as the test that values are put to.

    The last two say the same; where the reader of a field tests more, to name the very member, the schema has that too.
    """

    words: str
    schema: Schema
    holds: Callable[[Json], bool]


@frozen
class Field:
    """A member of a JSON object that the gateway reads; null stands for "absent" unless the kind has it."""

    name: str
    kind: Kind
    about: str
    is_needed: bool = False

    verb: ClassVar[str] = "must be"

    def of(self, given: Mapping[str, Json]) -> Json:
        """The value, None when it is absent; raises BadRequest."""
        value = given.get(self.name)
        if value is None and not self.is_needed:
            return None
        if not self.kind.holds(value):
            raise self.refusal()
        return value

    def refusal(self) -> BadRequest:
        """What an app is told whose value is of another kind."""
        return BadRequest(f"{self.name} {self.verb} {self.kind.words}.", param=self.name)

    def schema(self) -> Schema:
        """What may stand here."""
        allowed = self.kind.schema if self.is_needed else nullable(self.kind.schema)
        return {**allowed, "description": self.about}


@frozen
class Parameter(Field):
    """An argument of the URL or a header: its value is a text, and an empty one counts as absent."""

    verb: ClassVar[str] = "takes"

    def of(self, given: Mapping[str, str]) -> str | None:
        """The text, None when it is absent; raises BadRequest."""
        value = given.get(self.name) or None
        if value is not None and not self.kind.holds(value):
            raise self.refusal()
        return value

    def schema(self) -> Schema:
        """What may stand here."""
        return self.kind.schema


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if not schema or "null" in str(schema.get("type")):
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def form(fields: Sequence[Field], **more: Json) -> dict[str, Json]:
    """The schema of an object with these fields; any others pass."""
    needed = [field.name for field in fields if field.is_needed]
    return {
        "type": "object",
        "properties": {field.name: field.schema() for field in fields},
        **({"required": needed} if needed else {}),
        "additionalProperties": True,
        **more,
    }


def words(*known: str) -> Kind:
    """One of these texts."""
    return Kind(f"one of {', '.join(known)}", {"type": "string", "enum": list(known)}, lambda value: value in known)


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list(value: Json, holds: Callable[[Json], bool]) -> bool:
    return isinstance(value, list) and all(map(holds, value))


ANYTHING = Kind("anything", {}, lambda value: True)
FLAG = Kind("true or false", {"type": "boolean"}, lambda value: isinstance(value, bool))
OBJECT = Kind("an object", {"type": "object"}, lambda value: isinstance(value, dict))
ANY_TEXT = Kind("a text", {"type": "string"}, lambda value: isinstance(value, str))
TEXT = Kind("a text that is not empty", {"type": "string", "pattern": r"\S"}, _is_text)
TEXTS = Kind(
    "a list of texts",
    {"type": "array", "items": ANY_TEXT.schema},
    lambda value: _is_list(value, ANY_TEXT.holds),
)
MODEL = Kind("the id of a model, a text", {**TEXT.schema, "examples": ["openrouter/auto"]}, _is_text)
MODELS = Kind(
    "a list of model ids",
    {"type": "array", "items": MODEL.schema},
    lambda value: _is_list(value, MODEL.holds),
)


def shape(members: Json) -> dict[str, Json]:
    """
    The schema of an answer of the gateway's own, from a short form of it.

    A dict is an object with at least these members, a list of one an array of such, a text a type; "?" behind it, or
    `Maybe` around the others, allows null. Schemas pass inside `Exactly`.
    """
    if isinstance(members, Exactly):
        return dict(members.schema)
    if isinstance(members, Maybe):
        return {"anyOf": [shape(members.members), {"type": "null"}]}
    if isinstance(members, str):
        name = members.rstrip("?")
        return {"type": [name, "null"] if members.endswith("?") else name}
    if isinstance(members, list):
        return {"type": "array", "items": shape(members[0])}
    inner = {name: shape(member) for name, member in members.items()}
    return {"type": "object", "required": list(members), "properties": inner}


@frozen
class Maybe:
    """What `shape` is to let be null."""

    members: Json


@frozen
class Exactly:
    """A schema inside the short form that `shape` reads."""

    schema: Schema
