"""Everything the edges use, wired together by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.ports import Clock, Events, Ledger, Pauses, Quotas, Tokens
from app.core.shared import Places
from app.services.agents import Agents
from app.services.breakers import Breakers
from app.services.bulletin import Bulletin
from app.services.credits import Credits
from app.services.health import HealthCheck
from app.services.lookups import Lookups
from app.services.models import Models
from app.services.once import Repeats
from app.services.reconcile import Reconciler
from app.services.refresher import Refresher
from app.services.relay import Relay
from app.services.stories import Stories
from app.services.tokens import TokenOffice
from app.services.usage import Usage


@dataclass(frozen=True, kw_only=True)
class Calling:
    """What calls need, which every process of the gateway answers."""

    clock: Clock
    events: Events
    tokens: Tokens
    quotas: Quotas
    slots: Places
    models: Models
    agents: Agents
    relay: Relay
    repeats: Repeats


@dataclass(frozen=True, kw_only=True)
class Services(Calling):
    """The gateway's use cases and the ports that the edges need beside them."""

    bulletin: Bulletin
    office: TokenOffice
    breakers: Breakers
    stories: Stories
    credits: Credits
    lookups: Lookups
    health: HealthCheck
    ledger: Ledger
    pauses: Pauses
    reconciler: Reconciler
    usage: Usage
    refresher: Refresher
    at_end: tuple[Callable[[], None], ...] = ()
    """What else is to be closed."""

    def drain(self, grace_s: float) -> int:
        """Take no new calls, let the running ones finish for up to `grace_s` s, end the rest; how many those were."""
        self.bulletin.close()
        return self.relay.drain(grace_s)

    def stop(self) -> None:
        """End what runs in the background, and write down what is left; for when nothing is called any more."""
        self.refresher.stop()
        self.reconciler.stop()
        self.ledger.stop()
        for close in self.at_end:
            close()
