"""The agents in force: read from their files as these change, held against the catalogue as it changes."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from app.core.agents import capabilities, reading, styles
from app.core.agents.agent import PREFIX, Agent, BadAgent
from app.core.agents.shelf import NO_AGENTS, Fault, Shelf
from app.core.agents.styles import Preset
from app.core.catalogue import Model, by_name, entry_in
from app.core.errors import BadRequest, Json, NotFound, Unavailable
from app.core.ports import AgentFiles, Clock, Events

_LOOK_S = 1.0
"""The files are looked at no more often."""


class Catalogue(Protocol):
    """What the agents ask of the catalogue."""

    def as_of(self) -> float | None:
        """Changes whenever the catalogue does; None when there is none."""
        ...

    def entry_of(self, model: str) -> Model | None:
        """The entry of a model; None when it is not listed."""
        ...


class KnownModels:
    """A catalogue that does not change; None when nothing is known of one."""

    def __init__(self, models: Iterable[Model] | None) -> None:
        self._entries = None if models is None else by_name(models)

    def as_of(self) -> float | None:
        """Not None where there is one."""
        return None if self._entries is None else 0.0

    def entry_of(self, model: str) -> Model | None:
        """The entry of a model; None when it is not listed."""
        return entry_in(self._entries or {}, model)


class Agents:
    """Keeps the shelf; a file that cannot be used leaves the agent as it was, and is told of once."""

    def __init__(self, *, files: AgentFiles, models: Catalogue, clock: Clock, events: Events) -> None:
        self._files = files
        self._models = models
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._next_look = float("-inf")
        self._seen: Mapping[str, Hashable] = {}
        self._as_of: float | None = None
        self._shelf = NO_AGENTS

    def preset(self, endpoint: str, body: dict[str, Json], model: str, fallbacks: tuple[str, ...]) -> Preset:
        """
        The request as it is to be carried out: as it came, or with the agent that it calls.

        `endpoint` is the API style's path, `model` and `fallbacks` the chain that the body asks for. Raises NotFound
        for an agent that there is not, BadRequest for one that does not fit.
        """
        if any(name.startswith(PREFIX) for name in fallbacks):
            raise BadRequest(
                "An agent has its own chain and cannot be part of another. Name it as model, and leave out models.",
                param="models",
            )
        if not model.startswith(PREFIX):
            return Preset(body, model, fallbacks)
        return styles.apply(self.shelf().find(model), endpoint, body, fallbacks)

    def shelf(self) -> Shelf:
        """The agents as they are now; what was changed within the last second may be missing."""
        if self._clock.monotonic() >= self._next_look:
            with self._lock:
                if self._clock.monotonic() >= self._next_look:
                    self._look()
                    self._next_look = self._clock.monotonic() + _LOOK_S
        return self._shelf

    def _look(self) -> None:
        before = self._shelf
        try:
            seen = self._files.look()
        except Unavailable as error:
            self._put(faults={**before.faults, "": Fault(self._files.place(""), (error.message,), bool(before.agents))})
        else:
            if seen != self._seen or "" in before.faults:
                self._read(seen)
                self._seen = seen
        as_of = self._models.as_of()
        if self._shelf is not before or as_of != self._as_of:
            self._as_of = as_of
            self._check(as_of is not None)

    def _read(self, seen: Mapping[str, Hashable]) -> None:
        """Read the files that have changed, forget those that have gone."""
        agents: dict[str, Agent] = {}
        faults: dict[str, Fault] = {}
        for id, signature in seen.items():
            kept, fault = self._shelf.agents.get(id), self._shelf.faults.get(id)
            if self._seen.get(id) != signature:
                try:
                    kept, fault = reading.read(id, self._files.read(id)), None
                except NotFound:
                    continue
                except (BadAgent, Unavailable) as bad:
                    problems = bad.problems if isinstance(bad, BadAgent) else (bad.message,)
                    fault = Fault(self._files.place(id), problems, kept is not None)
            if kept is not None:
                agents[id] = kept
            if fault is not None:
                faults[id] = fault
        self._put(agents, faults)

    def _put(self, agents: Mapping[str, Agent] | None = None, faults: Mapping[str, Fault] | None = None) -> None:
        """Replace the shelf where something has changed, and tell of it."""
        before = self._shelf
        agents = before.agents if agents is None else agents
        faults = before.faults if faults is None else faults
        for id, fault in faults.items():
            if fault != before.faults.get(id):
                self._events.warn("agent.unusable", agent=id or None, problems=fault.problems, kept_old=fault.kept)
        if agents == before.agents and faults == before.faults:
            return
        version = before.version + (agents != before.agents)
        self._shelf = replace(before, version=version, agents=agents, faults=faults)
        if version != before.version:
            self._events.note("agents.changed", agents=list(agents))

    def _check(self, checked: bool) -> None:
        before = self._shelf
        found = {
            id: told
            for id, agent in before.agents.items()
            if checked and (told := capabilities.doubts(agent, self._models.entry_of))
        }
        for id, told in found.items():
            if told != before.doubts.get(id):
                self._events.warn("agent.doubtful", agent=id, doubts=told)
        self._shelf = replace(before, doubts=found, checked=checked)
