"""What carries calls, in whichever process of the gateway."""

from __future__ import annotations

from app.bootstrap import openrouter
from app.core.ports import Clock, Events, Pauses, Upstream, Vault
from app.core.shared import Account, Books, Gate, Others, Storybook
from app.services.breakers import Breakers
from app.services.holds import Holds
from app.services.models import Models
from app.services.pursuit import Pursuit
from app.services.relay import Relay
from app.settings import Settings
from app.web.state import WebSettings


def relay_of(
    settings: Settings,
    *,
    upstream: Upstream,
    vault: Vault,
    clock: Clock,
    events: Events,
    credits: Account,
    models: Models,
    breakers: Breakers,
    gate: Gate,
    books: Books,
    stories: Storybook,
    pauses: Pauses,
    others: Others,
) -> Relay:
    """The relay, with what pursues its calls."""
    holds = Holds(books=books, models=models, unknown_hold=settings.unknown_price_hold)
    pursuit = Pursuit(
        upstream=upstream,
        vault=vault,
        clock=clock,
        events=events,
        credits=credits,
        breakers=breakers,
        turnstile=gate,
        holds=holds,
    )
    return Relay(
        pursuit=pursuit,
        patience=openrouter.patience(settings),
        clock=clock,
        events=events,
        holds=holds,
        stories=stories,
        pauses=pauses,
        others=others,
    )


def web_settings(settings: Settings) -> WebSettings:
    """The settings that concern only what is said over HTTP."""
    return WebSettings(
        allowed_hosts=(*settings.allowed_hosts, f"[{settings.host}]" if ":" in settings.host else settings.host),
        allowed_origins=settings.allowed_origins,
        site_url=settings.site_url,
        site_name=settings.site_name,
        extra_headers=settings.extra_headers or {},
        sanitize=settings.sanitize,
        max_message_chars=settings.max_message_chars,
    )
