"""The catalogue in the shapes that Claude Code and Codex ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.core.catalogue import Model
from app.core.errors import BadRequest, Json

_MOST = 1000
_USUAL = 20


def for_claude(models: Sequence[Model], query: Mapping[str, str]) -> dict[str, Json]:
    """A page of the models as Anthropic lists its own (limit, after_id, before_id); raises BadRequest."""
    limit = _limit(query.get("limit", str(_USUAL)))
    ids = [str(model["id"]) for model in models]
    first = _place(ids, query, "after_id") + 1 if query.get("after_id") else 0
    end = len(ids)
    if query.get("before_id"):
        end = _place(ids, query, "before_id")
        first = max(first, end - limit)
    page = models[first : min(end, first + limit)]
    more = first > 0 if query.get("before_id") else first + limit < end
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


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:5]) <= _MOST:
        raise BadRequest(f"limit takes a number from 1 to {_MOST}.", param="limit")
    return int(text)


def _place(ids: list[str], query: Mapping[str, str], name: str) -> int:
    try:
        return ids.index(query[name])
    except ValueError:
        raise BadRequest(f"{name} names no model of this list.", param=name) from None
