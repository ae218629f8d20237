"""What an agent's models must be able to do, held against the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.core.agents.agent import Agent, snake
from app.core.catalogue import Model
from app.core.errors import Json

_ALWAYS: tuple[str, str, str] = ("", "", "")
_CHECKS: Mapping[str, tuple[str, str, str]] = {
    "vision": ("input_modalities", "image", "takes no images"),
    "audio": ("input_modalities", "audio", "takes no audio"),
    "video": ("input_modalities", "video", "takes no video"),
    "files": ("input_modalities", "file", "takes no files"),
    "image_generation": ("output_modalities", "image", "makes no images"),
    "function_calling": ("supported_parameters", "tools", "calls no functions"),
    "structured_outputs": ("supported_parameters", "structured_outputs", "keeps to no schema"),
    "json_mode": ("supported_parameters", "response_format", "has no JSON mode"),
    "reasoning": ("supported_parameters", "reasoning", "does not reason"),
    "streaming": _ALWAYS,
}
"""Capability → where the catalogue tells it, as what, and what to say of a model without it. All models stream."""

NAMES = tuple(_CHECKS)


def doubts(agent: Agent, entry_of: Callable[[str], Model | None]) -> tuple[str, ...]:
    """What the agent promises and a model of its chain does not, by the catalogue; one sentence for each."""
    wanted = [name for name, flag in (agent.capabilities or {}).items() if flag]
    told = []
    for model in agent.models:
        entry = entry_of(model)
        if entry is None:
            told.append(f"{model} is not in OpenRouter's catalogue: it may not answer, and nothing is known of it.")
            continue
        lacks = [
            f"{model} {said} ({name})."
            for name in wanted
            for place, value, said in (_CHECKS[snake(name)],)
            if place and value not in _listed(entry, place)
        ]
        told += lacks
    return tuple(told)


def _listed(entry: Model, place: str) -> Json:
    architecture = entry.get("architecture")
    holder = entry if place == "supported_parameters" else architecture if isinstance(architecture, dict) else {}
    found = holder.get(place)
    return found if isinstance(found, list) else ()
