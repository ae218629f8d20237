"""Agents as they are shown: in lists of models, to programs, in their own files."""

from __future__ import annotations

from collections.abc import Mapping

from app.core import toml
from app.core.agents.agent import LOCKABLE, Agent, camel
from app.core.agents.shelf import Shelf
from app.core.catalogue import Model
from app.core.errors import Json


def entry(agent: Agent, first: Model | None) -> Model:
    """The agent as an entry of the catalogue, with prices and limits of its first model; unknown prices are "-1"."""
    base = _UNKNOWN if first is None else first
    with_fallbacks = f", then {', '.join(agent.models[1:])}" if agent.models[1:] else ""
    own = {
        "id": agent.model,
        "canonical_slug": agent.model,
        "name": agent.name,
        "description": f"An agent of this gateway: {agent.models[0]}{with_fallbacks}.",
    }
    return {**{name: value for name, value in base.items() if name not in ("alias_target", "benchmarks")}, **own}


def shape(agent: Agent, doubts: tuple[str, ...] = ()) -> dict[str, Json]:
    """The agent for programs. Its prompt is the owner's: programs are told that there is one, not what it says."""
    return {
        "id": agent.model,
        "name": agent.name,
        "provider": "openrouter",
        "model": agent.models[0],
        "fallback_models": list(agent.models[1:]),
        "has_system_prompt": agent.system_prompt is not None,
        "temperature": agent.temperature,
        "max_tokens": agent.max_tokens,
        "tools": [dict(tool) for tool in agent.tools],
        "capabilities": dict(agent.capabilities or {}),
        "provider_preferences": None if agent.preferences is None else dict(agent.preferences),
        "locked": [camel(name) for name in LOCKABLE if name in agent.locked],
        "warnings": list(doubts),
    }


SHAPE: Json = {
    "id": "string",
    "name": "string",
    "provider": "string",
    "model": "string",
    "fallback_models": ["string"],
    "has_system_prompt": "boolean",
    "temperature": "number?",
    "max_tokens": "integer?",
    "tools": ["object"],
    "capabilities": "object",
    "provider_preferences": "object?",
    "locked": ["string"],
    "warnings": ["string"],
}
"""What `shape` gives, in the short form of forms.shape."""


def state(shelf: Shelf) -> dict[str, Json]:
    """How the agents are: how many, which files cannot be used, what the catalogue says against which."""
    return {
        "count": len(shelf.agents),
        "faults": [
            {"agent": id or None, "file": fault.file, "problems": list(fault.problems), "kept": fault.kept}
            for id, fault in shelf.faults.items()
        ],
        "warnings": {id: list(told) for id, told in shelf.doubts.items()},
        "capabilities_checked": shelf.checked,
    }


def file(fields: Mapping[str, Json]) -> str:
    """The text of an agent's file with these fields; None and empty ones are left out."""
    return toml.dumps({name: given for name, given in fields.items() if given not in (None, "", [], ())})


_UNKNOWN: Model = {
    "created": 0,
    "pricing": {"prompt": "-1", "completion": "-1"},
    "context_length": None,
    "architecture": {
        "modality": "text->text",
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "tokenizer": "Other",
        "instruct_type": None,
    },
    "top_provider": {"context_length": None, "max_completion_tokens": None, "is_moderated": False},
    "per_request_limits": None,
    "supported_parameters": [],
    "default_parameters": None,
    "supported_voices": None,
    "knowledge_cutoff": None,
    "expiration_date": None,
    "links": {"details": ""},
}
"""What a list of models says of one that OpenRouter does not list."""
