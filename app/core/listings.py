"""The catalogue in the shapes that Claude Code and Codex ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.core import forms
from app.core.catalogue import Model
from app.core.errors import BadRequest, Json
from app.core.forms import Kind, Parameter

_MOST = 1000
_USUAL = 20
_LIMIT = Parameter(
    "limit",
    Kind(
        f"a number from 1 to {_MOST}",
        {"type": "integer", "minimum": 1, "maximum": _MOST},
        lambda text: text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MOST,
    ),
    f"How many on a page, {_USUAL} without it; only with anthropic-version.",
)
_AFTER = Parameter("after_id", forms.ANY_TEXT, "The page behind this model; only with anthropic-version.")
_BEFORE = Parameter("before_id", forms.ANY_TEXT, "The page before this model; only with anthropic-version.")
ARGUMENTS = (_LIMIT, _AFTER, _BEFORE)
"""What `for_claude` reads."""

ANTHROPIC = Parameter("anthropic-version", forms.ANY_TEXT, "Asks for Anthropic's shape.")
CODEX = Parameter("client_version", forms.ANY_TEXT, "Asks for the shape that Codex reads.")


def for_claude(models: Sequence[Model], query: Mapping[str, str]) -> dict[str, Json]:
    """A page of the models as Anthropic lists its own (limit, after_id, before_id); raises BadRequest."""
    limit = int(_LIMIT.of(query) or _USUAL)
    after, before = _AFTER.of(query), _BEFORE.of(query)
    ids = [str(model["id"]) for model in models]
    first = _place(ids, _AFTER, after) + 1 if after else 0
    end = len(ids)
    if before:
        end = _place(ids, _BEFORE, before)
        first = max(first, end - limit)
    page = models[first : min(end, first + limit)]
    more = first > 0 if before else first + limit < end
    return {
        "data": [one_for_claude(model) for model in page],
        "has_more": more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def for_codex() -> dict[str, Json]:
    """
    Codex's list, with no models in it.

    Codex 0.169 takes a listed model's instructions from the list, also where these are empty, and cannot read one
    without them; they are Codex's to write. With an empty list it keeps its own, whichever model it is told to use.
    """
    return {"models": []}


def one_for_claude(model: Model) -> dict[str, Json]:
    """One model as Anthropic shows its own."""
    created = model.get("created")
    moment = datetime.fromtimestamp(created if isinstance(created, int) and 0 <= created < 2**33 else 0, UTC)
    return {
        "type": "model",
        "id": model["id"],
        "display_name": model.get("name") or model["id"],
        "created_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _place(ids: list[str], where: Parameter, model: str) -> int:
    try:
        return ids.index(model)
    except ValueError:
        raise BadRequest(f"{where.name} names no model of this list.", param=where.name) from None
