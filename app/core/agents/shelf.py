"""All agents as they are in force at one moment, and what is wrong with their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from app.core.agents.agent import ID, PREFIX, Agent
from app.core.agents.near import hint
from app.core.errors import NotFound
from app.core.frozen import frozen


@frozen
class Fault:
    """A file that cannot be used as it is."""

    file: str
    problems: tuple[str, ...]
    kept: bool
    """The agent stays in force as it was before the file was changed."""


@frozen
class Shelf:
    """The agents in force; never changed, only replaced."""

    version: int = 0
    """Another one whenever an agent has changed."""
    agents: Mapping[str, Agent] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """By agent, or "" for the folder."""
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By agent, what the catalogue says against it."""
    checked: bool = False
    """The catalogue was at hand; without it nothing is said of capabilities."""

    def find(self, model: str) -> Agent:
        """The agent that is called by this name; raises NotFound with what to do."""
        id = model.removeprefix(PREFIX)
        agent = self.agents.get(id)
        if agent is not None:
            return agent
        fault = self.faults.get(id)
        if fault is not None:
            raise NotFound(
                f"{model[:80]} cannot be used: {fault.problems[0]} All that is wrong: orgate agent check",
                code="agent_unusable",
                param="model",
            )
        near = hint(id, self.agents, PREFIX.__add__)
        make = f"orgate agent new {id if ID.fullmatch(id) else 'NAME'} --model openai/gpt-4o-mini"
        raise NotFound(
            f"There is no agent {model[:80]!r}.{near} orgate agent list shows them; make one with: {make}",
            code="unknown_agent",
            param="model",
        )


NO_AGENTS = Shelf()
"""What there is before any file was looked at."""
