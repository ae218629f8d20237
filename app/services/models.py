"""The catalogue, kept fresh and cut to what the owner allows."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from contextlib import suppress
from functools import cached_property
from typing import Protocol

from app.core import catalogue, claude
from app.core.agents.shelf import NO_AGENTS, Shelf
from app.core.agents.views import entry
from app.core.catalogue import Model, Query
from app.core.errors import GatewayError, NotFound, UpstreamFailed
from app.core.frozen import frozen
from app.core.ports import Cache, Clock, Events
from app.core.redact import redact
from app.core.refusals import refusal
from app.core.shapes import dump
from app.services.kept import Dated, Found, Kept

_ALL = "/models"
_KNOW_S = 3.0
"""So long a call waits for a catalogue that has not come yet."""


class Source(Protocol):
    """The part of the Upstream port that fetches."""

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        """Status and body of a GET; raises GatewayError."""
        ...


@frozen
class Listing:
    """A list of models as bytes to send."""

    body: bytes
    count: int

    @cached_property
    def etag(self) -> str:
        """Changes exactly when the body does."""
        return hashlib.sha256(self.body).hexdigest()[:32]

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed."""
        return gzip.compress(self.body, 5, mtime=0)


@frozen
class Shown:
    """A list of models as of now."""

    listing: Listing
    stale: bool
    age_s: float


class Models:
    """The models that can be called."""

    def __init__(
        self,
        *,
        upstream: Source,
        cache: Cache,
        clock: Clock,
        events: Events,
        ttl_ms: int,
        only: tuple[str, ...],
    ) -> None:
        self._upstream = upstream
        self._cache = cache
        self._clock = clock
        self._events = events
        self._ttl_ms = ttl_ms
        self._only = only
        self._claudes: dict[claude.Key, str] = {}
        self._others: dict[str, Kept] = {}
        self._other_entries: dict[str, tuple[float, dict[str, Model]]] = {}
        self._lock = threading.Lock()
        self._decoded: tuple[float, list[Model]] | None = None
        self._entries: dict[str, Model] = {}
        self._listings: dict[tuple[Query, int], Listing] = {}
        self.kept = self._kept("models", _ALL)

    def get(self, query: Query, *, agents: Shelf = NO_AGENTS, force: bool = False, max_wait_s: float = 90.0) -> Shown:
        """The models that match, as upstream describes them, and agents; raises GatewayError if never loaded."""
        value = self.kept.get(force=force, max_wait_s=max_wait_s)
        with self._lock:
            models = self._decode(value)
            listing = self._listings.get((query, agents.version))
            if listing is None:
                listing = self._list(query, value, models, agents)
                # A few queries are asked again and again (a picker, an editor at start); others come once.
                if len(self._listings) >= 16:
                    self._listings.clear()
                self._listings[query, agents.version] = listing
        return Shown(listing, value.stale, value.age_s)

    def entries(self, agents: Shelf = NO_AGENTS) -> list[Model]:
        """All models that may be called, as upstream describes them, and agents; raises GatewayError like `get`."""
        value = self.kept.get()
        with self._lock:
            return [*self._decode(value), *self._presets(agents)]

    def find(self, name: str, agents: Shelf = NO_AGENTS) -> Model:
        """One model of the list, by id or canonical slug; raises NotFound, and GatewayError when there is no list."""
        listed = catalogue.by_name(self.entries(agents))
        if name not in listed:
            raise NotFound(f"There is no model {redact(name)[:100]!r}. See: orgate models", param="model")
        return listed[name]

    def entry_of(self, model: str) -> Model | None:
        """The catalogue's entry, by the catalogue at hand, without asking anybody; None when not known."""
        value, decoded = self.kept.at_hand(), self._decoded
        if value is not None and (decoded is None or decoded[0] != value.fetched_at):
            with self._lock:
                self._decode(value)
        entries = {} if value is None else self._entries
        return catalogue.entry_in(entries, model) or self._entry_elsewhere(model)

    def as_of(self) -> float | None:
        """When the catalogue at hand was asked for, in seconds since 1970; None when there is none."""
        value = self.kept.peek()
        return None if value is None else value.fetched_at

    def named(self, model: str) -> str:
        """The catalogue's id for a short one of Claude's; any other, and one that the catalogue lacks, as it is."""
        if not claude.is_short(model):
            return model
        with suppress(GatewayError):
            value = self.kept.get(max_wait_s=_KNOW_S)
            with self._lock:
                self._decode(value)
                return self._claudes.get(claude.key_of(model), model)
        return model

    def know(self, path: str) -> None:
        """Have a catalogue beside the usual one at hand for `entry_of`, as far as OpenRouter gives it at once."""
        if path == _ALL:
            return
        with suppress(GatewayError):
            self._kept_of(path).get(max_wait_s=_KNOW_S)

    def told(self, path: str) -> bytes:
        """A catalogue as OpenRouter sent it, all of it; raises GatewayError when it never did."""
        return self._kept_of(path).get().body

    def _kept_of(self, path: str) -> Kept:
        if path == _ALL:
            return self.kept
        with self._lock:
            return self._others.setdefault(path, self._kept(f"models:{path}", path))

    def _entry_elsewhere(self, model: str) -> Model | None:
        if not self._others:
            return None
        with self._lock:
            for path, kept in self._others.items():
                value = kept.peek()
                if value is None:
                    continue
                if self._other_entries.get(path, (None,))[0] != value.fetched_at:
                    self._other_entries[path] = (value.fetched_at, catalogue.by_name(json.loads(value.body)["data"]))
                found = self._other_entries[path][1].get(model)
                if found is not None:
                    return found
        return None

    def _kept(self, name: str, path: str) -> Kept:
        return Kept(
            lambda: name,
            lambda: self._fetch(path),
            ttl_ms=self._ttl_ms,
            cache=self._cache,
            clock=self._clock,
            events=self._events,
        )

    def context_of(self, model: str) -> int | None:
        """How many tokens a model takes; None when not known, as with `entry_of`."""
        entry = self.entry_of(model)
        size = entry.get("context_length") if entry is not None else None
        return size if isinstance(size, int) else None

    def _decode(self, value: Dated | Found) -> list[Model]:
        if self._decoded is None or self._decoded[0] != value.fetched_at:
            models = json.loads(value.body)["data"]
            self._entries = catalogue.by_name(models)
            self._claudes = claude.by_key(model["id"] for model in models)
            self._listings.clear()
            # The last of these: who sees it needs no lock for the entries.
            self._decoded = (value.fetched_at, catalogue.allowed(models, self._only) if self._only else models)
        return self._decoded[1]

    def _list(self, query: Query, value: Dated, models: list[Model], agents: Shelf) -> Listing:
        if query == Query() and not self._only and not agents.agents:
            return Listing(value.body, len(models))
        chosen = catalogue.select([*models, *self._presets(agents)], query)
        # The whole envelope: OpenRouter's own SDKs refuse a list without it.
        envelope = {"data": chosen, "total_count": len(chosen), "links": {"next": None}}
        return Listing(dump(envelope), len(chosen))

    def _presets(self, agents: Shelf) -> list[Model]:
        return [entry(agent, catalogue.entry_in(self._entries, agent.models[0])) for agent in agents.agents.values()]

    def _fetch(self, path: str) -> bytes:
        # The catalogue is public: the key stays at home.
        status, body = self._upstream.get(path, key=None)
        if status != 200:
            raise refusal(status, {}, body, self._clock.now())
        try:
            models = json.loads(body)["data"]
            whole = bool(models) and all(isinstance(model["id"], str) for model in models)
        except (ValueError, TypeError, KeyError, RecursionError):
            whole = False
        if not whole:
            raise UpstreamFailed(f"OpenRouter's {path} is no list of models.", code="upstream_protocol_error")
        return body
