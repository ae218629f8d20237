"""The catalogue in the shapes that Claude Code and Codex ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.core.catalogue import Model
from app.core.errors import BadRequest, Json

_MOST = 1000
_USUAL = 20
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_OUTPUT_LIMIT = 10_000
"""Tokens of a tool's output that Codex keeps."""

_INSTRUCTIONS = """You are a coding agent in the Codex command line program, working in the user's own folder.

- Find out before you change anything: read the files that matter, and follow AGENTS.md where it applies.
- Do what was asked, all of it and nothing else; keep the style of the code around it, and mend causes, not symptoms.
- Prefer rg for searching. Never revert what you did not change, and do not commit unless told to.
- Check your work by running the tests or the program where that is possible; say what you did not check.
- Answer briefly: what you did, where, and what is left for the user to decide.
"""
"""Codex takes its instructions for a listed model from the list; these are orgate's."""


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


def for_codex(models: Sequence[Model]) -> dict[str, Json]:
    """The models that can call tools, as Codex wants them, newest first."""
    usable = [model for model in models if "tools" in (model.get("supported_parameters") or ())]
    return {"models": [_for_codex(model, number) for number, model in enumerate(usable)]}


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


def _for_codex(model: Model, number: int) -> dict[str, Json]:
    supported = model.get("supported_parameters") or ()
    efforts = _efforts(model) if "reasoning" in supported else []
    context = model.get("context_length")
    return {
        "slug": model["id"],
        "display_name": model.get("name") or model["id"],
        "description": str(model.get("description") or "")[:200] or None,
        "default_reasoning_level": "medium" if "medium" in efforts else None,
        "supported_reasoning_levels": [{"effort": effort, "description": effort} for effort in efforts],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": number,
        "availability_nux": None,
        "upgrade": None,
        "base_instructions": _INSTRUCTIONS,
        "supports_reasoning_summaries": bool(efforts),
        "supports_reasoning_summary_parameter": bool(efforts),
        "default_reasoning_summary": "auto",
        "support_verbosity": "verbosity" in supported,
        "default_verbosity": None,
        "apply_patch_tool_type": None,
        "truncation_policy": {"mode": "tokens", "limit": _OUTPUT_LIMIT},
        "supports_parallel_tool_calls": "parallel_tool_calls" in supported,
        "context_window": context if isinstance(context, int) else None,
        "effective_context_window_percent": 95,
        "experimental_supported_tools": [],
        "input_modalities": _modalities(model),
    }


def _efforts(model: Model) -> list[str]:
    told = model.get("reasoning")
    named = told.get("supported_efforts") if isinstance(told, dict) else None
    return [
        effort for effort in _EFFORTS if effort in (named if isinstance(named, list) else ("low", "medium", "high"))
    ]


def _modalities(model: Model) -> list[str]:
    architecture = model.get("architecture")
    kinds = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return [kind for kind in ("text", "image") if kind in (kinds or ("text",))]


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:5]) <= _MOST:
        raise BadRequest(f"limit takes a number from 1 to {_MOST}.", param="limit")
    return int(text)


def _place(ids: list[str], query: Mapping[str, str], name: str) -> int:
    try:
        return ids.index(query[name])
    except ValueError:
        raise BadRequest(f"{name} names no model of this list.", param=name) from None
