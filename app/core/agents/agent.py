"""An agent as it is in force: the document's "Agent Configuration", read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core.errors import Json
from app.core.frozen import frozen

PREFIX = "agent/"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What an agent's file may be called, without its ending; the ledger keeps 64 characters."""

LOCKABLE = ("model", "system_prompt", "temperature", "max_tokens", "tools", "provider_preferences")
LOCKED = frozenset({"model", "system_prompt"})
"""What is the agent's alone unless its file says otherwise."""


@frozen
class Agent:
    """A preset; what is None or empty is left to the caller."""

    id: str
    """The stem of its file."""
    name: str
    """For people."""
    models: tuple[str, ...]
    """The chain: `model`, then `fallbackModels`."""
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[Mapping[str, Json], ...] = ()
    """OpenRouter's server tools as it takes them: {"type": "openrouter:web_search"}."""
    capabilities: Mapping[str, bool] | None = None
    """What its models must be able to do, in the document's spelling."""
    preferences: Mapping[str, Json] | None = None
    """The provider preferences in OpenRouter's spelling."""
    locked: frozenset[str] = LOCKED
    """Which of LOCKABLE are the agent's, whatever the caller sends."""

    @property
    def model(self) -> str:
        """The name it is called by: "agent/ID"."""
        return PREFIX + self.id


class BadAgent(Exception):
    """A file that holds no usable agent."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems
        """Each a sentence that says what to change; none of them holds a prompt."""


def camel(name: str) -> str:
    """A field's name in the document's spelling: "max_tokens" is "maxTokens"."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def snake(name: str) -> str:
    """The same the other way round; what is in neither spelling stays strange."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0].lower()}", name)
