"""An agent's file: TOML with the document's fields, in camelCase or snake_case."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.core import chain, preferences
from app.core.agents import capabilities, tools
from app.core.agents.agent import ID, LOCKABLE, LOCKED, PREFIX, Agent, BadAgent, camel, snake
from app.core.agents.near import hint
from app.core.errors import BadRequest, Json
from app.core.redact import redact

_MAX_DEPTH = 32
_MODEL = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")


def read(id: str, text: str) -> Agent:
    """The agent in this text; raises BadAgent with every problem there is."""
    problems = [] if ID.fullmatch(id) else [_bad_id(id)]
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadAgent((*problems, f"The file is not valid TOML: {error}.")) from None
    except RecursionError:
        raise BadAgent((*problems, "The file is nested too deep.")) from None
    except ValueError:
        raise BadAgent((*problems, "The file holds a number that is too long.")) from None
    found = _fields(table, problems)
    agent = Agent(
        id=id,
        name=found.get("name") or id,
        models=_chain(found, table, problems),
        system_prompt=found.get("system_prompt") or None,
        temperature=found.get("temperature"),
        max_tokens=found.get("max_tokens"),
        tools=found.get("tools", ()),
        capabilities=found.get("capabilities"),
        preferences=found.get("provider_preferences") or None,
        locked=found.get("locked", LOCKED),
    )
    if problems:
        raise BadAgent(tuple(problems))
    return agent


def normal(table: Mapping[str, Json], known: Iterable[str], what: str) -> tuple[dict[str, Json], list[str]]:
    """The members under their snake_case names, and what is wrong with the names of the others."""
    names, found, problems = tuple(known), {}, []
    for given, value in table.items():
        name = snake(given)
        if name not in names:
            near = hint(name.lower(), names, str if "_" in given else camel)
            problems.append(f"There is no {what} {redact(given)[:40]!r}.{near}")
        elif name in found:
            problems.append(f"{camel(name)} stands there twice, in two spellings. Keep one.")
        else:
            found[name] = value
    return found, problems


def _fields(table: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The fields that can be used, by their snake_case names; the others are among the problems."""
    given, strange = normal(table, _READERS, "field")
    problems += strange
    found = {}
    for name, value in given.items():
        try:
            found[name] = _READERS[name](value)
        except BadAgent as bad:
            problems += bad.problems
        except ValueError as error:
            problems.append(f"{camel(name)} {error}.")
    return found


def _chain(found: dict[str, Any], table: dict[str, Any], problems: list[str]) -> tuple[str, ...]:
    model = found.get("model")
    if model is None:
        if "model" not in table:
            problems.append('model is missing. Name one, such as model = "openai/gpt-4o"; orgate models lists them.')
        return ()
    try:
        return chain.models_of(model, found.get("fallback_models", ()))
    except BadRequest as error:
        problems.append(error.message.replace("Leave out models", "Leave out fallbackModels"))
        return ()


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("takes a text in quotes")
    return value


def _name(value: Json) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise ValueError("takes a short text in quotes, in one line")
    return value.strip()


def _provider(value: Json) -> str:
    if value != "openrouter":
        raise ValueError('takes "openrouter": the gateway knows no other provider')
    return "openrouter"


def _model(value: Json) -> str:
    if not isinstance(value, str) or not _MODEL.fullmatch(value):
        raise ValueError('takes the id of a model, such as "openai/gpt-4o"')
    if value.startswith(PREFIX):
        raise ValueError("takes the id of a model, and an agent is none")
    return value


def _models(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('takes a list of ids, such as ["anthropic/claude-sonnet-4.5"]')
    return tuple(map(_model, value))


def _temperature(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 2:
        raise ValueError("takes a number from 0 to 2")
    return value


def _max_tokens(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**7:
        raise ValueError("takes a whole number above 0")
    return value


def _tools(value: Json) -> tuple[dict[str, Json], ...]:
    if not isinstance(value, list):
        raise ValueError('takes a list, such as ["web_search"]')
    found: list[dict[str, Json]] = []
    problems = []
    for entry in value:
        try:
            found.append(tools.read(_plain(entry)))
        except ValueError as error:
            problems.append(f"tools {error}.")
    if problems:
        raise BadAgent(tuple(problems))
    return tuple(found)


def _capabilities(value: Json) -> dict[str, bool]:
    if not isinstance(value, dict):
        raise ValueError("takes a table of true and false, such as { vision = true }")
    given, problems = normal(value, capabilities.NAMES, "capability")
    problems += [f"capabilities.{camel(name)} takes true or false." for name in given if not _is_flag(given[name])]
    if problems:
        raise BadAgent(tuple(problems))
    return {camel(name): flag for name, flag in given.items()}


def _preferences(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ValueError('takes a table, such as { order = ["OpenAI"] }')
    given, problems = normal(_plain(value), preferences.NAMES, "provider preference")
    for name, one in [*given.items(), *([] if problems else [("", given)])]:
        try:
            translated = preferences.translate({name: one} if name else given)
        except BadRequest as error:
            problems.append(error.message.replace("provider", "providerPreferences", 1))
    if problems:
        raise BadAgent(tuple(dict.fromkeys(problems)))
    return translated or given


def _locked(value: Json) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError('takes a list of fields, such as ["model", "systemPrompt"]')
    _, problems = normal(dict.fromkeys(value), LOCKABLE, "field to lock called")
    if problems:
        raise BadAgent(tuple(problems))
    return frozenset(map(snake, value))


def _plain(value: Any, levels: int = _MAX_DEPTH) -> Json:
    """The value, if it can be said in JSON; raises ValueError for dates, odd numbers, what is too deep."""
    if levels == 0:
        raise ValueError("is nested too deep")
    if isinstance(value, dict):
        return {name: _plain(inner, levels - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, levels - 1) for inner in value]
    if not isinstance(value, (str, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("holds a date, a time or a number that JSON does not know")
    return value


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def _bad_id(id: str) -> str:
    return (
        f"{id[:80]!r} cannot be an agent's name. Rename the file: up to 64 letters, digits, dots, dashes or "
        "underscores, the first a letter or a digit."
    )


_READERS: dict[str, Callable[[Json], Any]] = {
    "name": _name,
    "provider": _provider,
    "model": _model,
    "fallback_models": _models,
    "system_prompt": _text,
    "temperature": _temperature,
    "max_tokens": _max_tokens,
    "tools": _tools,
    "capabilities": _capabilities,
    "provider_preferences": _preferences,
    "locked": _locked,
}
"""The document's fields and our `locked`, by their snake_case names."""
