"""One entry of endpoints.custom: headers and models become settings, its models a chain in an agent's file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core.chain import MAX_MODELS
from app.core.errors import Json
from app.core.librechat.names import free_id
from app.core.librechat.plan import Plan
from app.core.redact import redact

_SITE_URL = ("http-referer", "referer")
_SITE_NAME = ("x-title", "x-openrouter-title")
_SECRET = re.compile(r"authorization|key|token|secret|cookie", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{|\{\{")
_REFERENCE = re.compile(r"\$\{\w+\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_READ = {"name", "apiKey", "baseURL", "models", "headers", "addParams", "dropParams", "titleModel", "summaryModel"}
_PARAMETERS = {"temperature": "temperature", "max_tokens": "maxTokens", "provider": "providerPreferences"}
_CHAINING = {"models", "route", "model"}


def read_endpoint(entry: Mapping[str, Json], name: str, plan: Plan) -> None:
    """Add what this entry says to the plan."""
    _key(entry.get("apiKey"), plan)
    _headers(entry.get("headers"), plan)
    listed = _models(entry.get("models"), plan)
    _chain(name, listed, _table(entry.get("addParams")), plan)
    if entry.get("dropParams"):
        plan.leave("dropParams", "OpenRouter ignores what a model does not take")
    for part in ("titleModel", "summaryModel"):
        if entry.get(part):
            plan.leave(part, f"LibreChat asks for it by itself; keep {entry[part]} in the new entry")
    rest = [part for part in entry if part not in _READ]
    if rest:
        plan.leave(", ".join(map(str, rest)), f"how LibreChat shows {name}; keep it in the new entry")


def _key(given: Json, plan: Plan) -> None:
    text = str(given or "")
    if not text or text == "user_provided":
        plan.todo.append("Give the gateway your OpenRouter key: orgate key set")
    elif _REFERENCE.fullmatch(text):
        plan.todo.append(f"Give the gateway the key that {text} holds: orgate key set")
    else:
        plan.todo.append(
            "The key itself stands in librechat.yaml. It was not copied: orgate key set, then take it out there, and "
            "better make a new one."
        )


def _headers(given: Json, plan: Plan) -> None:
    extra = {}
    for name, value in _table(given).items():
        text = str(value)
        if _SECRET.search(name) or redact(text) != text:
            plan.leave(f"header {name}", "it may be a secret")
        elif _VARIABLE.search(text):
            plan.leave(f"header {name}", "a variable of LibreChat's fills it in")
        elif name.lower() in _SITE_URL and text.startswith(("http://", "https://")):
            plan.settings["openrouter_site_url"] = text
        elif name.lower() in _SITE_NAME:
            plan.settings["openrouter_site_name"] = text
        elif _HEADER.fullmatch(name) and text.isprintable():
            extra[name] = text
        else:
            plan.leave(f"header {name!r}", "HTTP does not allow it")
    if extra:
        plan.settings["openrouter_extra_headers"] = {**plan.settings.get("openrouter_extra_headers", {}), **extra}


def _models(given: Json, plan: Plan) -> list[str]:
    """The models of `default`; without `fetch` they are all that are to be listed."""
    table = _table(given)
    default = table.get("default")
    named = [one.get("name") if isinstance(one, dict) else one for one in default] if isinstance(default, list) else []
    listed = [one for one in named if isinstance(one, str) and one]
    if listed and not table.get("fetch"):
        plan.settings["openrouter_models"] = list(dict.fromkeys([*plan.settings.get("openrouter_models", []), *listed]))
    return listed


def _chain(name: str, listed: list[str], added: Mapping[str, Json], plan: Plan) -> None:
    """The entry's models in their order as an agent, which any program can call."""
    given = added.get("models")
    fallbacks = [one for one in given if isinstance(one, str)] if isinstance(given, list) else None
    first = [added["model"]] if isinstance(added.get("model"), str) else listed[:1]
    chain = list(dict.fromkeys([*first, *(listed[1:] if fallbacks is None else fallbacks)]))
    for one in [name_ for name_ in added if name_ not in _CHAINING and name_ not in _PARAMETERS]:
        plan.leave(f"addParams.{one}", "an agent's file has no field for it; let the program send it")
    if not chain:
        plan.leave("models", "none is named, so there is no chain")
        return
    kept = _tried(chain, plan)
    fields: dict[str, Json] = {"name": name, "provider": "openrouter", "model": kept[0]}
    if kept[1:]:
        fields["fallbackModels"] = kept[1:]
    fields |= {ours: added[theirs] for theirs, ours in _PARAMETERS.items() if added.get(theirs) is not None}
    plan.agents[free_id(name, plan.agents)] = fields


def _tried(chain: list[str], plan: Plan) -> list[str]:
    """The models that one chain may hold."""
    if chain[0].startswith("openrouter/"):
        if chain[1:]:
            plan.leave("the models after the first", f"{chain[0]} chooses by itself and takes no chain")
        return chain[:1]
    kept = [one for one in chain if not one.startswith("openrouter/")]
    if chain[0].endswith(":free") and any(not one.endswith(":free") for one in kept):
        plan.leave("paid models after a free one", "a list to choose from is no leave to pay; add them if you mean it")
        kept = [one for one in kept if one.endswith(":free")]
    if len(kept) > MAX_MODELS:
        plan.leave(f"the models after the {MAX_MODELS}th", "a chain has no more")
    return kept[:MAX_MODELS]


def _table(given: Json) -> dict[str, Json]:
    return {str(name): value for name, value in given.items()} if isinstance(given, dict) else {}
