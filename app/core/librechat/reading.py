"""
Reads a librechat.yaml: endpoints.custom and modelSpecs (librechat.ai/docs/configuration/librechat_yaml).

Nothing that may be a secret is taken: keys stay where they are, and so does whatever refers to a variable.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from app.core.errors import Json
from app.core.librechat.endpoint import read_endpoint
from app.core.librechat.plan import NothingToImport, Plan
from app.core.librechat.specs import read_specs

_OURS = {"version", "endpoints", "modelSpecs"}
_NAMED = re.compile(r"open[ _-]?router", re.IGNORECASE)


def read(document: Json) -> Plan:
    """What to take over; raises NothingToImport."""
    if not isinstance(document, dict):
        raise NothingToImport("The file holds no table of settings; is it a librechat.yaml?")
    endpoints = document.get("endpoints")
    custom = endpoints.get("custom") if isinstance(endpoints, dict) else None
    entries = [entry for entry in custom if isinstance(entry, dict)] if isinstance(custom, list) else []
    mine = [entry for entry in entries if _is_openrouter(entry)]
    if not mine:
        others = ", ".join(_name(entry) for entry in entries) or "none"
        raise NothingToImport(f"No entry of endpoints.custom is OpenRouter's; the file has: {others}.")
    plan = Plan()
    for entry in mine:
        read_endpoint(entry, _name(entry), plan)
    for entry in entries:
        if not _is_openrouter(entry):
            plan.leave(f"endpoint {_name(entry)}", "it is not OpenRouter's and stays in LibreChat")
    read_specs(document.get("modelSpecs"), {_name(entry) for entry in mine}, plan)
    _leave_rest(document, plan)
    plan.todo.append("Point LibreChat at the gateway, in place of this entry: orgate connect librechat")
    return plan


def _leave_rest(document: dict[str, Json], plan: Plan) -> None:
    endpoints = document["endpoints"]
    rest = [name for name in document if name not in _OURS] + [f"endpoints.{name}" for name in endpoints]
    rest.remove("endpoints.custom")
    if rest:
        plan.leave(", ".join(map(str, rest)), "LibreChat's own, nothing of the gateway's")


def _is_openrouter(entry: dict[str, Json]) -> bool:
    """By its address; by its name where a variable holds the address."""
    address = str(entry.get("baseURL") or "")
    if "${" in address or not address:
        return bool(_NAMED.search(_name(entry)))
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return host == "openrouter.ai" or host.endswith(".openrouter.ai")


def _name(entry: dict[str, Json]) -> str:
    return str(entry.get("name") or "without a name")[:80]
