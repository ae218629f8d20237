"""The tools of an agent: those that OpenRouter itself runs, its server tools (OpenRouter's OpenAPI, 2026-08-22)."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.agents.near import hint
from app.core.errors import Json

PREFIX = "openrouter:"
_EVERYWHERE = ("bash", "datetime", "experimental__search_models", "image_generation", "web_fetch", "web_search")
_OPENAI = ("advisor", "files", "fusion", "subagent")
_LATER = ("shell", "tool_search")
BY_STYLE: Mapping[str, frozenset[str]] = {
    "/chat/completions": frozenset({*_EVERYWHERE, *_OPENAI}),
    "/messages": frozenset({*_EVERYWHERE, *_LATER}),
    "/responses": frozenset({*_EVERYWHERE, *_OPENAI, *_LATER, "apply_patch"}),
}
"""API style → the tools it takes; the other styles take none."""

NAMES = tuple(sorted(set().union(*BY_STYLE.values())))

_SANDBOX = (
    '{ type = "bash", parameters = { engine = "openrouter" } }, which runs commands in a sandbox of OpenRouter\'s'
)
_INSTEAD = {
    "code_interpreter": f"leave it out and let the program run code itself, or use {_SANDBOX}",
    "execute_code": f"leave it out and let the program run code itself, or use {_SANDBOX}",
    "file_search": 'leave it out, or use "files", which reads the files of your OpenRouter workspace',
    "browser": 'use "web_fetch", which reads one page at a time',
    "computer_use": "leave it out and let the program offer it as a function of its own",
    "mcp": "leave it out and let the program offer the server's tools as functions of its own",
    "function": "leave it out: functions are the program's own, which sends them with each call",
}
"""What other systems' agents have and OpenRouter does not run → what to do."""


def read(given: Json) -> dict[str, Json]:
    """
    One entry of `tools` as OpenRouter takes it; raises ValueError with what to do.

    A name ("web_search", "openrouter:web_search"), or a table with `type` and OpenRouter's own `parameters`.
    """
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, dict) or not isinstance(given.get("type"), str):
        raise ValueError('takes names such as "web_search", or tables with type and parameters')
    name = given["type"].removeprefix(PREFIX)
    if name not in NAMES:
        raise ValueError(_refused(name))
    parameters = given.get("parameters", {})
    strange = sorted(given.keys() - {"type", "parameters"})
    if strange or not isinstance(parameters, dict):
        raise ValueError(f'has an entry for "{name}" that is not made of type and a table of parameters')
    return {"type": PREFIX + name, **({"parameters": parameters} if parameters else {})}


def styles_of(name: str) -> tuple[str, ...]:
    """The API styles in which OpenRouter runs this tool."""
    return tuple(style for style, names in BY_STYLE.items() if name.removeprefix(PREFIX) in names)


def merged(own: tuple[Mapping[str, Json], ...], given: list[Json]) -> list[Json]:
    """The caller's tools, then those of the agent that the caller does not bring itself, in whatever spelling."""
    types = [str(tool.get("type")) for tool in given if isinstance(tool, dict)]
    brought = {name for name in NAMES if any(name in kind for kind in types)}
    return [*given, *(dict(tool) for tool in own if str(tool["type"]).removeprefix(PREFIX) not in brought)]


def _refused(name: str) -> str:
    instead = _INSTEAD.get(name)
    if instead is not None:
        return f'names "{name}", which OpenRouter cannot run: {instead}'
    return f'names "{name[:40]}", which is no tool of OpenRouter\'s.{hint(name, NAMES)} They are {", ".join(NAMES)}'
