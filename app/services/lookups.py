"""What OpenRouter tells about a key, a generation and a model's endpoints: asked for, kept for a while, passed on."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from app.core.errors import Json, NotFound, UpstreamFailed
from app.core.forms import Kind, Parameter
from app.core.meter import parse
from app.core.ports import Cache, Clock, Events, Upstream, Vault
from app.core.redact import fingerprint
from app.core.refusals import refusal
from app.services.kept import Dated, Kept

_KEY_MS = 15_000
"""OpenRouter's own figures are up to a minute old; budgets of ours do not hang on these."""

_ENDPOINTS_MS = 300_000
"""OpenRouter's own Cache-Control for what it tells of models."""

_MOST_KEPT = 64
_NAME = re.compile(r"[~A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_GENERATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{3,127}")


def _text(words: str, form: re.Pattern[str]) -> Kind:
    return Kind(
        words, {"type": "string", "pattern": f"^{form.pattern}$"}, lambda text: form.fullmatch(text) is not None
    )


GENERATION = Parameter(
    "id",
    _text("a generation's id, such as gen-1785882264-Dc8eXAHSnjmKOswYtXdR", _GENERATION),
    "The generation, as X-Generation-Id told it.",
    is_needed=True,
)
AUTHOR = Parameter("author", _text("the name of an author", _NAME), "Who makes the model.")
SLUG = Parameter("slug", _text("the name of a model", _NAME), "The model's own name.")
_PERSONAL = ("creator_user_id", "user_id", "organization_id", "workspace_id")
"""Whose account it is concerns no program."""


class _Memory:
    """A cache for one value, forgotten with whoever has it: models are many, and asked for by any name."""

    is_shared = False

    def __init__(self) -> None:
        self._value: bytes | None = None

    def get(self, name: str) -> bytes | None:
        """The value."""
        return self._value

    def put(self, name: str, value: bytes) -> None:
        """Keep it."""
        self._value = value


class Lookups:
    """Answers of OpenRouter's own shape."""

    def __init__(self, *, upstream: Upstream, vault: Vault, cache: Cache, clock: Clock, events: Events) -> None:
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._endpoints: OrderedDict[str, Kept] = OrderedDict()
        self._key = self._kept(lambda: "key:" + fingerprint(vault.key()), self._fetch_key, _KEY_MS, cache)

    def key(self, *, force: bool = False) -> Dated:
        """What the key may spend and has spent, its label masked and without the ids of people; raises GatewayError."""
        return self._key.get(force=force)

    def generation(self, name: str) -> bytes:
        """
        What one generation was and cost; raises GatewayError.

        OpenRouter knows a generation only a moment after it has ended, and corrects its cost later: nothing is kept.
        """
        if not GENERATION.kind.holds(name):
            raise GENERATION.refusal()
        return self._ask(f"/generation?id={name}", self._vault.key())

    def endpoints(self, author: str, slug: str) -> Dated:
        """Who serves a model, at which price and how well; raises GatewayError."""
        if not (_NAME.fullmatch(author) and _NAME.fullmatch(slug)):
            raise NotFound("No model has such a name; orgate models lists them.")
        path = f"/models/{author}/{slug}/endpoints"
        with self._lock:
            kept = self._endpoints.pop(path, None)
            if kept is None:
                fetch = partial(self._ask, path, None)
                kept = self._kept(lambda: f"endpoints:{path}", fetch, _ENDPOINTS_MS, _Memory())
            self._endpoints[path] = kept
            if len(self._endpoints) > _MOST_KEPT:
                self._endpoints.popitem(last=False)
        return kept.get()

    def _fetch_key(self) -> bytes:
        told = json.loads(self._ask("/key", self._vault.key()))
        data = told["data"]
        label = data.get("label")
        # OpenRouter shows how a key begins and how it ends; the end is enough to tell one's keys apart.
        masked = {"label": f"sk-or-…{label[-3:]}"} if isinstance(label, str) and label.startswith("sk-or-") else {}
        return json.dumps({**told, "data": {**_impersonal(data), **masked}}, ensure_ascii=False).encode()

    def _ask(self, path: str, key: str | None) -> bytes:
        status, body = self._upstream.get(path, key=key)
        if status != 200:
            raise refusal(status, {}, body, self._clock.now())
        answer = parse(body)
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
            raise UpstreamFailed("OpenRouter's answer makes no sense.", code="upstream_protocol_error")
        personal = [name for name in _PERSONAL if name in answer["data"]]
        if not personal:
            return body
        told = json.loads(body)
        return json.dumps({**told, "data": _impersonal(told["data"])}, ensure_ascii=False).encode()

    def _kept(self, name: Callable[[], str], fetch: Callable[[], bytes], ttl_ms: int, cache: Cache) -> Kept:
        return Kept(name, fetch, ttl_ms=ttl_ms, cache=cache, clock=self._clock, events=self._events)


def _impersonal(data: dict[str, Json]) -> dict[str, Json]:
    return {name: None if name in _PERSONAL else value for name, value in data.items()}
