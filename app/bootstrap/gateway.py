"""The whole gateway, wired."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

import flask

from app.adapters.clock import SystemClock
from app.adapters.commands import AlertCommand
from app.adapters.gathered import Gathered
from app.adapters.logs import LogSink
from app.adapters.metrics import MetricsSink
from app.adapters.pauses import PauseFile
from app.adapters.quotas import FlaskLimiterQuotas
from app.adapters.tokens import TokenBook
from app.bootstrap import openrouter, sinks, state
from app.bootstrap.calling import relay_of, web_settings
from app.core.frozen import frozen
from app.core.ports import Clock, Events, Ledger, Upstream, Vault
from app.core.redact import fingerprint
from app.core.shared import Nobody
from app.services.agents import Agents
from app.services.answercache import AnswerCache
from app.services.books import Books, Spent
from app.services.breakers import Breakers
from app.services.bulletin import Bulletin
from app.services.bundle import Services
from app.services.credits import Credits
from app.services.events import Fanout
from app.services.health import HealthCheck
from app.services.once import Repeats
from app.services.recall import Recaller
from app.services.reconcile import Reconciler
from app.services.settler import Settler
from app.services.slots import Slots
from app.services.stories import Stories
from app.services.tokens import TokenOffice
from app.services.turnstile import Turnstile
from app.services.usage import Usage
from app.settings import Settings
from app.web.state import WebSettings

if TYPE_CHECKING:
    from app.workers.crew import Crew
    from app.workers.desk import Desk


@frozen
class Built:
    """What the factory wires into the application."""

    services: Services
    web: WebSettings
    exposition: Callable[[], tuple[str, bytes]]
    """The content type and the text of the metrics."""
    crew: Crew | None
    """The carriers, if there are to be any (ORGATE_WORKERS)."""
    desk: Callable[[], Desk]
    """Where one of them is answered."""


def build(app: flask.Flask, settings: Settings) -> Built:
    """The services on their real adapters; raises SettingsError, NoKey among them."""
    clock = SystemClock()
    log, metrics = LogSink(level=settings.log_level, namespaces=settings.debug), MetricsSink(version("orgate"))
    bulletin = Bulletin(clock, [AlertCommand(settings.alert_command, log)] if settings.alert_command else [])
    reports = sinks.reports(settings, clock)
    events = Gathered(Fanout([log, metrics, bulletin, *reports], details=[log] if log.wants_details else []))
    vault = openrouter.vault_of(settings, events)
    upstream = openrouter.upstream_of(settings, pool_size=settings.max_streams, keep_ready=True)
    crew = _crew(settings, events)
    ledger, pauses = state.open_ledger(settings, clock, events), _pauses(settings, crew)
    tokens, quotas = TokenBook(settings.folders.state), _quotas(app, settings)
    credits, models, lookups = openrouter.figures(
        app, settings, upstream, vault, clock, events, ledger, crew.put if crew else None
    )
    spent: tuple[Spent, ...] = (
        lambda app, model, cost, at: credits.spent(cost, at),
        lambda app, model, cost, at: metrics.settled(app, model, cost),
    )
    books, reconciler = _money(settings, ledger, upstream, vault, clock, events, credits, spent)
    agents = Agents(files=state.agent_folder(settings), models=models, clock=clock, events=events)
    breakers, stories = Breakers(clock, crew), Stories()
    slots = crew.places if crew else Slots(settings.max_streams)
    usage = Usage(ledger, tokens, clock)
    metrics.watch(sinks.readings(slots, credits, breakers, ledger, usage, clock))
    metrics.restore(ledger.costs())
    if crew:
        metrics.watch_processes(crew.pids)
    turnstile = Turnstile(quotas, clock)
    relay = relay_of(
        settings,
        upstream=upstream,
        vault=vault,
        clock=clock,
        events=events,
        credits=credits,
        models=models,
        breakers=breakers,
        gate=turnstile,
        books=books,
        stories=stories,
        pauses=pauses,
        others=crew or Nobody(),
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
        agents=agents,
        lookups=lookups,
        health=HealthCheck(credits, models, clock),
        relay=relay,
        repeats=Repeats(Recaller(relay, AnswerCache(clock)), clock),
        ledger=ledger,
        pauses=pauses,
        reconciler=reconciler,
        usage=usage,
        refresher=openrouter.refresher(settings, credits, models, agents, events),
        at_end=(upstream.close, events.stop, *(report.close for report in reports)),
    )

    def desk() -> Desk:
        from app.workers.desk import Common, Desk

        return Desk(
            Common(
                quotas=quotas,
                gate=turnstile,
                account=credits,
                books=books,
                storybook=stories,
                sinks=Fanout([metrics, bulletin]),
                events=events,
                catalogue=models.told,
                application=app,
            )
        )

    def exposition() -> tuple[str, bytes]:
        events.flush()
        return metrics.exposition()

    return Built(services, web_settings(settings), exposition, crew, desk)


def _money(
    settings: Settings,
    ledger: Ledger,
    upstream: Upstream,
    vault: Vault,
    clock: Clock,
    events: Events,
    credits: Credits,
    spent: tuple[Spent, ...],
) -> tuple[Books, Reconciler]:
    """What sets money aside, and what finds out what became of it."""
    settler = Settler(ledger=ledger, upstream=upstream, vault=vault, clock=clock, events=events, spent=spent)
    may_begin = threading.Event()
    books = Books(ledger=ledger, settler=settler, clock=clock, events=events, spent=spent, may_begin=may_begin)
    reconciler = Reconciler(
        ledger=ledger,
        credits=credits,
        books=books,
        settler=settler,
        clock=clock,
        events=events,
        key_id=lambda: fingerprint(vault.key()),
        settle_after_s=settings.settle_after_s,
        keep_days=settings.keep_days,
        begun=may_begin,
    )
    return books, reconciler


def _crew(settings: Settings, events: Events) -> Crew | None:
    if settings.workers == 1:
        return None
    # One process need not know how there could be more.
    from app.workers.crew import Crew
    from app.workers.places import SharedPlaces

    return Crew(SharedPlaces(settings.max_streams, settings.workers), settings.workers - 1, events)


def _pauses(settings: Settings, crew: Crew | None) -> PauseFile:
    pauses = state.pause_file(settings)
    if crew is not None:
        crew.unkept = lambda: pauses.unkept
        pauses.changed = crew.mind
    return pauses


def _quotas(app: flask.Flask, settings: Settings) -> FlaskLimiterQuotas:
    rates = {"chat": settings.rate_chat, "credits": settings.rate_credits, "models": settings.rate_models}
    return FlaskLimiterQuotas(app, rates)
