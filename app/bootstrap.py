"""Chooses the adapters: the only module that names them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import flask

from app import settings as settings_module
from app.adapters.cache import FlaskCachingStore
from app.adapters.clock import SystemClock
from app.adapters.commands import AlertCommand
from app.adapters.gauges import EVERYTHING, BudgetLeft, Readings
from app.adapters.ledger import NewerLedger, SqlLedger
from app.adapters.logs import LogSink
from app.adapters.metrics import MetricsSink
from app.adapters.pauses import PauseFile
from app.adapters.quotas import FlaskLimiterQuotas
from app.adapters.statefiles import private_folder
from app.adapters.tokens import TokenBook
from app.adapters.upstream import HttpUpstream, Timeouts
from app.adapters.vault import FixedVault, KeyringMissing, KeyStore, WatchedVault
from app.core.errors import Unavailable
from app.core.ports import Events, Vault
from app.services.breakers import Breakers
from app.services.bulletin import Bulletin
from app.services.bundle import Services
from app.services.credits import Credits
from app.services.events import Fanout
from app.services.health import HealthCheck
from app.services.holds import Holds
from app.services.models import Models
from app.services.pursuit import Pursuit, id_of
from app.services.reconcile import Reconciler
from app.services.refresher import Refresher
from app.services.relay import Patience, Relay
from app.services.settler import Settler
from app.services.slots import Slots
from app.services.stories import Stories
from app.services.tokens import TokenOffice
from app.services.turnstile import Turnstile
from app.services.usage import Usage
from app.settings import NoKey, Settings, SettingsError, readers
from app.web.state import WebSettings

if TYPE_CHECKING:
    from app.adapters.reports import SentrySink


@dataclass(frozen=True)
class Built:
    """What the factory wires into the application."""

    services: Services
    web: WebSettings
    exposition: Callable[[], tuple[str, bytes]]
    """The content type and the text of the metrics."""


def build(app: flask.Flask, settings: Settings) -> Built:
    """The services on their real adapters; raises SettingsError, NoKey among them."""
    clock = SystemClock()
    log, metrics = LogSink(level=settings.log_level, namespaces=settings.debug), MetricsSink(version("orgate"))
    bulletin = Bulletin(clock, [AlertCommand(settings.alert_command, log)] if settings.alert_command else [])
    reports = _reports(settings, clock)
    events = Fanout([log, metrics, bulletin, *reports])
    vault = _vault(settings, events)
    upstream = upstream_of(settings, pool_size=settings.max_streams)
    tokens = TokenBook(private_folder(settings.folders.state))
    rates = {"chat": settings.rate_chat, "credits": settings.rate_credits, "models": settings.rate_models}
    quotas = FlaskLimiterQuotas(app, rates)
    ledger = _ledger(settings, clock, events)
    credits, models = _figures(app, settings, upstream, vault, clock, events, ledger)
    breakers, stories, slots = Breakers(clock), Stories(), Slots(settings.max_streams)
    spent = (lambda app, model, cost: credits.spent(cost), metrics.settled)
    settler = Settler(ledger=ledger, upstream=upstream, vault=vault, clock=clock, events=events, spent=spent)
    may_begin = threading.Event()
    holds = Holds(
        ledger=ledger,
        models=models,
        settler=settler,
        clock=clock,
        events=events,
        unknown_hold=settings.unknown_price_hold,
        spent=spent,
        may_begin=may_begin,
    )
    reconciler = Reconciler(
        ledger=ledger,
        credits=credits,
        holds=holds,
        settler=settler,
        clock=clock,
        events=events,
        key_id=lambda: id_of(vault.key()),
        settle_after_s=settings.settle_after_s,
        keep_days=settings.keep_days,
        begun=may_begin,
    )
    pauses = PauseFile(settings.folders.state)
    usage = Usage(ledger, tokens, clock)
    metrics.watch(_readings(slots, credits, breakers, ledger, usage, clock))
    metrics.restore(ledger.costs())
    pursuit = Pursuit(
        upstream=upstream,
        vault=vault,
        clock=clock,
        events=events,
        credits=credits,
        breakers=breakers,
        turnstile=Turnstile(quotas, clock),
        holds=holds,
    )
    relay = Relay(
        pursuit=pursuit,
        patience=_patience(settings),
        clock=clock,
        events=events,
        holds=holds,
        stories=stories,
        pauses=pauses,
        calls=settings.max_streams,
    )
    services = Services(
        clock=clock,
        events=events,
        bulletin=bulletin,
        tokens=tokens,
        quotas=quotas,
        office=TokenOffice(tokens, clock),
        slots=slots,
        breakers=breakers,
        stories=stories,
        credits=credits,
        models=models,
        health=HealthCheck(credits, models, clock),
        relay=relay,
        ledger=ledger,
        pauses=pauses,
        reconciler=reconciler,
        usage=usage,
        refresher=_refresher(settings, credits, models, events),
        at_end=tuple(report.close for report in reports),
    )
    return Built(services, _web(settings), metrics.exposition)


def _ledger(settings: Settings, clock: SystemClock, events: Events) -> SqlLedger:
    """The ledger, ready to be written; what a crash left without an end is ambiguous from now on."""
    private_folder(settings.folders.state)
    path = ledger_path(settings)
    ledger = SqlLedger(path, clock, events)
    try:
        crashed = ledger.open_for_use()
    except NewerLedger as error:
        raise SettingsError(f"The ledger {path} was written by a newer orgate ({error}). Update orgate.") from None
    except Unavailable as error:
        raise SettingsError(f"{error.message} The file is {path}.") from None
    if crashed:
        events.warn("ledger.recovered", attempts=crashed)
    return ledger


def _reports(settings: Settings, clock: SystemClock) -> list[SentrySink]:
    if settings.sentry_dsn is None:
        return []
    try:
        from app.adapters.reports import SentrySink
    except ImportError:
        raise SettingsError(
            "ORGATE_SENTRY_DSN is set, and what it needs is not installed. Run: pip install 'orgate[sentry]'"
        ) from None
    sink = SentrySink(
        settings.sentry_dsn, release=f"orgate@{version('orgate')}", clock=clock, ca_bundle=settings.ca_bundle
    )
    return [sink]


def _readings(
    slots: Slots, credits: Credits, breakers: Breakers, ledger: SqlLedger, usage: Usage, clock: SystemClock
) -> Readings:
    def key_limit_remaining() -> int | None:
        balance = credits.peek()
        return balance.figures.key.limit_remaining if balance and balance.figures.key else None

    def open_breakers() -> list[str]:
        state = breakers.state()
        models = state["models"]
        assert isinstance(models, dict)
        return [*models, *([EVERYTHING] if state["everything"] else [])]

    def budgets() -> list[BudgetLeft]:
        now = clock.now()
        return [
            BudgetLeft(one.app, one.period, one.left, None if one.resets_at is None else one.resets_at - now)
            for one in usage.budgets()
        ]

    return Readings(
        in_flight=lambda: slots.taken,
        balance=credits.remaining,
        key_limit_remaining=key_limit_remaining,
        open_breakers=open_breakers,
        sums=ledger.sums,
        budgets=budgets,
    )


def _figures(
    app: flask.Flask,
    settings: Settings,
    upstream: HttpUpstream,
    vault: Vault,
    clock: SystemClock,
    events: Fanout,
    ledger: SqlLedger,
) -> tuple[Credits, Models]:
    cache = FlaskCachingStore(app, {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 0})
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


def ledger_reader(settings: Settings) -> SqlLedger | None:
    """
    The ledger of the state folder to be read, beside a running gateway or without one; None when there is none yet.

    Only who holds the state folder's lock may have it write.
    """
    path = ledger_path(settings)
    return SqlLedger(path, SystemClock(), Fanout([])) if path.exists() else None


def usage_reader(settings: Settings, ledger: SqlLedger) -> Usage:
    """What `orgate usage` reads without a gateway."""
    return Usage(ledger, TokenBook(settings.folders.state), SystemClock())


def pause_file(settings: Settings) -> PauseFile:
    """Who is paused, on record in the state folder."""
    return PauseFile(private_folder(settings.folders.state))


def ledger_path(settings: Settings) -> Path:
    """Where the ledger of these settings is kept."""
    return settings.folders.state / "ledger.db"


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
