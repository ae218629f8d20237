"""Chooses the adapters: the only module that names them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import flask

from app import settings as settings_module
from app.adapters.cache import FlaskCachingStore
from app.adapters.clock import SystemClock
from app.adapters.logs import LogSink
from app.adapters.quotas import FlaskLimiterQuotas
from app.adapters.statefiles import private_folder
from app.adapters.tokens import TokenBook
from app.adapters.upstream import HttpUpstream, Timeouts
from app.adapters.vault import FixedVault, KeyringMissing, KeyStore, WatchedVault
from app.core.ports import Vault
from app.services.breakers import Breakers
from app.services.bundle import Services
from app.services.credits import Credits
from app.services.events import Fanout
from app.services.health import HealthCheck
from app.services.models import Models
from app.services.pursuit import Pursuit
from app.services.refresher import Refresher
from app.services.relay import Patience, Relay
from app.services.slots import Slots
from app.services.stories import Stories
from app.services.tokens import TokenOffice
from app.services.turnstile import Turnstile
from app.settings import NoKey, Settings, SettingsError, readers
from app.web.state import WebSettings


@dataclass(frozen=True)
class Built:
    """What the factory wires into the application."""

    services: Services
    web: WebSettings


def build(app: flask.Flask, settings: Settings) -> Built:
    """The services on their real adapters; raises SettingsError, NoKey among them."""
    clock = SystemClock()
    events = Fanout([LogSink(level=settings.log_level, namespaces=settings.debug)])
    vault = _vault(settings, events)
    upstream = upstream_of(settings, pool_size=settings.max_streams)
    tokens = TokenBook(private_folder(settings.folders.state))
    rates = {"chat": settings.rate_chat, "credits": settings.rate_credits, "models": settings.rate_models}
    quotas = FlaskLimiterQuotas(app, rates)
    credits, models = _figures(app, settings, upstream, vault, clock, events)
    breakers, stories = Breakers(clock), Stories()
    pursuit = Pursuit(
        upstream=upstream,
        vault=vault,
        clock=clock,
        events=events,
        credits=credits,
        breakers=breakers,
        turnstile=Turnstile(quotas, clock),
    )
    relay = Relay(
        pursuit=pursuit,
        patience=_patience(settings),
        clock=clock,
        events=events,
        credits=credits,
        stories=stories,
        calls=settings.max_streams,
    )
    services = Services(
        clock=clock,
        events=events,
        tokens=tokens,
        quotas=quotas,
        office=TokenOffice(tokens, clock),
        slots=Slots(settings.max_streams),
        breakers=breakers,
        stories=stories,
        credits=credits,
        models=models,
        health=HealthCheck(credits, models, clock),
        relay=relay,
        refresher=_refresher(settings, credits, models, events),
    )
    return Built(services, _web(settings))


def _figures(
    app: flask.Flask, settings: Settings, upstream: HttpUpstream, vault: Vault, clock: SystemClock, events: Fanout
) -> tuple[Credits, Models]:
    cache = FlaskCachingStore(app, {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 0})
    credits = Credits(
        upstream=upstream,
        vault=vault,
        cache=cache,
        clock=clock,
        events=events,
        ttl_ms=settings.cache_ttl_credits_ms,
        management_key=settings.management_key,
        low_marks=settings.low_balance,
    )
    models = Models(
        upstream=upstream,
        cache=cache,
        clock=clock,
        events=events,
        ttl_ms=settings.cache_ttl_models_ms,
        only=settings.models,
    )
    return credits, models


def _refresher(settings: Settings, credits: Credits, models: Models, events: Fanout) -> Refresher:
    return Refresher(
        credits,
        models,
        events,
        interval_ms=settings.background_refresh_ms,
        models_ttl_ms=settings.cache_ttl_models_ms,
    )


def token_office(settings: Settings) -> TokenOffice:
    """What `orgate token` works with, beside a running gateway or without one."""
    return TokenOffice(TokenBook(private_folder(settings.folders.state)), SystemClock())


def key_store(settings: Settings) -> KeyStore:
    """Where `orgate key set` keeps the key."""
    return KeyStore(settings.folders.config, readers.key)


def stored_or_named_key(settings: Settings) -> str | None:
    """The key that a gateway with these settings would use, if there is one; raises SettingsError."""
    store = key_store(settings)
    try:
        return settings.api_key or store.load()
    except (ValueError, OSError, KeyringMissing) as error:
        raise SettingsError(
            f"The key in {store.place} cannot be used: {error}. Replace it with: orgate key set"
        ) from None


def upstream_of(settings: Settings, pool_size: int = 1) -> HttpUpstream:
    """OpenRouter as a gateway with these settings reaches it."""
    return HttpUpstream(
        settings.base_url,
        timeouts=_timeouts(settings),
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
        pool_size=pool_size,
    )


def _vault(settings: Settings, events: Fanout) -> Vault:
    if settings.origin("OPENROUTER_API_KEY") == "argument" and settings.api_key:
        return FixedVault(settings.api_key)
    store = key_store(settings)
    if stored_or_named_key(settings) is None:
        raise NoKey()
    environment, folder = dict(os.environ), Path.cwd()
    if settings.state_dir:
        environment["ORGATE_STATE_DIR"] = settings.state_dir

    def named() -> tuple[str | None, tuple[Path, ...]]:
        try:
            return settings_module.find_key(environment, folder)
        except SettingsError as error:
            raise ValueError(str(error)) from error

    return WatchedVault(named, store, events)


def _timeouts(settings: Settings) -> Timeouts:
    standard = Timeouts()
    return Timeouts(
        connect=settings.timeout_connect_s,
        headers_stream=settings.timeout_headers_s or standard.headers_stream,
        headers_plain=settings.timeout_headers_s or standard.headers_plain,
    )


def _patience(settings: Settings) -> Patience:
    idle_s = settings.timeout_idle_s
    return Patience(
        plain=_timeouts(settings).headers_plain,
        first_content=settings.timeout_first_content_s,
        idle=idle_s or 180,
        idle_with_others=idle_s or 30,
        total=settings.timeout_total_s,
    )


def _web(settings: Settings) -> WebSettings:
    return WebSettings(
        allowed_hosts=(*settings.allowed_hosts, f"[{settings.host}]" if ":" in settings.host else settings.host),
        allowed_origins=settings.allowed_origins,
        site_url=settings.site_url,
        site_name=settings.site_name,
        extra_headers=settings.extra_headers or {},
        sanitize=settings.sanitize,
        max_message_chars=settings.max_message_chars,
    )
