"""Everything the edges use, wired together by the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.ports import Clock, Events, Quotas, Tokens
from app.services.breakers import Breakers
from app.services.credits import Credits
from app.services.health import HealthCheck
from app.services.models import Models
from app.services.refresher import Refresher
from app.services.relay import Relay
from app.services.slots import Slots
from app.services.stories import Stories
from app.services.tokens import TokenOffice


@dataclass(frozen=True)
class Services:
    """The gateway's use cases and the ports that the edges need beside them."""

    clock: Clock
    events: Events
    tokens: Tokens
    quotas: Quotas
    office: TokenOffice
    slots: Slots
    breakers: Breakers
    stories: Stories
    credits: Credits
    models: Models
    health: HealthCheck
    relay: Relay
    refresher: Refresher
