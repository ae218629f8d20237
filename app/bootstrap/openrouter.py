"""OpenRouter as a gateway reaches it: the way there, the key, the figures that are kept of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import flask

from app import settings as settings_module
from app.adapters.cache import FlaskCachingStore
from app.adapters.upstream import HttpUpstream, Timeouts
from app.adapters.vault import FixedVault, WatchedVault
from app.bootstrap.state import key_store, stored_or_named_key
from app.core.ports import Cache, Clock, Events, Ledger, Vault
from app.services.agents import Agents
from app.services.credits import Credits
from app.services.lookups import Lookups
from app.services.models import Models
from app.services.refresher import Refresher
from app.services.relay import Patience
from app.settings import NoKey, Settings, SettingsError


def upstream_of(settings: Settings, pool_size: int = 1, *, keep_ready: bool = False) -> HttpUpstream:
    """OpenRouter as a gateway with these settings reaches it; `keep_ready` opens connections ahead of need."""
    return HttpUpstream(
        settings.base_url,
        timeouts=_timeouts(settings),
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
        pool_size=pool_size,
        keep_ready=keep_ready,
    )


def vault_of(settings: Settings, events: Events) -> Vault:
    """The key, as it is now; raises NoKey and SettingsError."""
    if settings.origin("OPENROUTER_API_KEY") == "argument" and settings.api_key:
        return FixedVault(settings.api_key)
    store = key_store(settings)
    if stored_or_named_key(settings) is None:
        raise NoKey()
    environment, folder = dict(os.environ), Path.cwd()
    if settings.state_dir:
        environment["ORGATE_STATE_DIR"] = settings.state_dir

    def named() -> settings_module.NamedKey:
        try:
            return settings_module.find_key(environment, folder)
        except SettingsError as error:
            raise ValueError(str(error)) from error

    return WatchedVault(named, store, events)


class Told:
    """A cache of which others are told what is put there."""

    def __init__(self, cache: Cache, tell: Callable[[str, bytes], None]) -> None:
        self._cache = cache
        self._tell = tell

    @property
    def is_shared(self) -> bool:
        """Whether what it returns may have been put there by another process."""
        return self._cache.is_shared

    def get(self, name: str) -> bytes | None:
        """What was last put under this name."""
        return self._cache.get(name)

    def put(self, name: str, value: bytes) -> None:
        """Keep these bytes until they are replaced."""
        self._cache.put(name, value)
        self._tell(name, value)


def figures(
    app: flask.Flask,
    settings: Settings,
    upstream: HttpUpstream,
    vault: Vault,
    clock: Clock,
    events: Events,
    ledger: Ledger,
    tell: Callable[[str, bytes], None] | None = None,
) -> tuple[Credits, Models, Lookups]:
    """The balance, the catalogue and what is looked up beside them, in one cache; new catalogues are told to `tell`."""
    cache = FlaskCachingStore(app, {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 0}, is_shared=False)
    credits = Credits(
        upstream=upstream,
        vault=vault,
        ledger=ledger,
        cache=cache,
        clock=clock,
        events=events,
        ttl_ms=settings.cache_ttl_credits_ms,
        management_key=settings.management_key,
        low_marks=settings.low_balance,
    )
    models = Models(
        upstream=upstream,
        cache=cache if tell is None else Told(cache, tell),
        clock=clock,
        events=events,
        ttl_ms=settings.cache_ttl_models_ms,
        only=settings.models,
    )
    lookups = Lookups(upstream=upstream, vault=vault, cache=cache, clock=clock, events=events)
    return credits, models, lookups


def refresher(settings: Settings, credits: Credits, models: Models, agents: Agents, events: Events) -> Refresher:
    """What keeps both fresh while nobody asks."""
    return Refresher(
        credits,
        models,
        agents,
        events,
        interval_ms=settings.background_refresh_ms,
        models_ttl_ms=settings.cache_ttl_models_ms,
    )


def patience(settings: Settings) -> Patience:
    """The clocks of the settings."""
    idle_s = settings.timeout_idle_s
    return Patience(
        plain=_timeouts(settings).headers_plain,
        first_content=settings.timeout_first_content_s,
        idle=idle_s or 180,
        idle_with_others=idle_s or 30,
        total=settings.timeout_total_s,
    )


def _timeouts(settings: Settings) -> Timeouts:
    standard = Timeouts()
    return Timeouts(
        connect=settings.timeout_connect_s,
        headers_stream=settings.timeout_headers_s or standard.headers_stream,
        headers_plain=settings.timeout_headers_s or standard.headers_plain,
    )
