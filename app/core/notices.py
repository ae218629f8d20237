"""Notices: the few events that the owner and the apps hear of beyond the log, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Protocol

from app.core.errors import Json
from app.core.frozen import frozen
from app.core.pauses import EVERYBODY

ALERT = "alert"
"""Something to act on."""
CREDITS = "credits"
"""New figures of the account."""
PAUSED = "paused"
RESUMED = "resumed"

_EPISODES = frozenset({"budget.exceeded", "budget.refused", "credits.low", "credits.purchased", "key.low"})
"""These say a thing once by themselves."""

_ALERTS = _EPISODES | {"key.refused", "key.unusable", "worker.lost"}
_ALERTS_IF_WARNINGS = ("budget", "ledger", "reconcile")
_WAIT = "Programs with a budget wait; see orgate usage, then: orgate db accept"
_OF_LEDGER = {
    "ledger.unavailable": "The ledger cannot be written ({why}), so nothing is sent. See: orgate db",
    "ledger.put_back": "The ledger's file was removed; it was put back, and nothing is lost.",
    "ledger.exchanged": f"Another file was put in the ledger's place. {_WAIT}",
    "ledger.restored": f"The ledger was restored, since {{why}}. {_WAIT}",
    "ledger.recovered": "The gateway was ended amid {attempts} attempts; OpenRouter is asked what they cost.",
    "ledger.unwritten": "The gateway stopped with {rows} entries that the ledger could not take ({why}).",
    "ledger.backup_failed": "{why}",
    "ledger.clock_was_ahead": "The computer's clock was {hours} hours ahead; what was spent then counts for today.",
}
_SUBJECT = ("app", "period", "which")


@frozen
class Notice:
    """One event that is told."""

    id: int
    """Larger than that of every notice before, also of those before a restart."""
    at: float
    """Seconds since 1970."""
    kind: str
    event: str
    level: str
    """"info", "warning" or "error"."""
    facts: Mapping[str, Json]
    """Plain JSON without secrets; money as decimal strings in dollars."""

    @property
    def app(self) -> str | None:
        """The app that it is about; None when it is about everything."""
        app = self.facts.get("app")
        return app if isinstance(app, str) and app != EVERYBODY else None

    @property
    def subject(self) -> tuple[Json, ...] | None:
        """What it repeats when it comes again; None when it never comes again without cause."""
        if self.kind != ALERT or self.event in _EPISODES:
            return None
        return (self.event, *(str(self.facts.get(name)) for name in _SUBJECT))


class Listener(Protocol):
    """Is handed notices as they come; it must not make anyone wait."""

    def tell(self, notice: Notice) -> None:
        """One more notice."""
        ...


def kind_of(event: str, level: str) -> str | None:
    """The kind of notice that an event of this level is, or None when only the log hears of it."""
    area, _, what = event.partition(".")
    if what in (PAUSED, RESUMED):
        return what
    if event == "credits.status":
        return CREDITS
    return ALERT if event in _ALERTS or (level != "info" and area in _ALERTS_IF_WARNINGS) else None


def told(notice: Notice) -> dict[str, Json]:
    """The notice as plain JSON."""
    return {
        "id": notice.id,
        "at": datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="milliseconds"),
        "kind": notice.kind,
        "event": notice.event,
        "level": notice.level,
        "message": message(notice.event, notice.facts),
        "facts": dict(notice.facts),
    }


def message(event: str, facts: Mapping[str, Json]) -> str:
    """The event in one sentence for people."""
    match event:
        case "credits.low":
            lasts = f"; at the present pace that lasts {facts['lasts']}" if facts.get("lasts") else ""
            return f"Less than {_money(facts, 'below')} is left at OpenRouter: {_money(facts, 'remaining')}{lasts}."
        case "key.low":
            return f"The key may spend less than {_money(facts, 'below')} more: {_money(facts, 'remaining')}."
        case "credits.purchased":
            return f"{_money(facts, 'amount')} of credits came in; {_money(facts, 'remaining')} is left at OpenRouter."
        case "credits.status":
            return f"{_money(facts, 'remaining')} is left at OpenRouter."
        case "budget.exceeded":
            return f"{facts.get('app')} has used up its budget of {_budget(facts)}."
        case "budget.refused":
            wanted, left = _money(facts, "wanted"), _money(facts, "left")
            return (
                f"A call of {facts.get('app')} was refused: it may cost {wanted}, and of its budget of "
                f"{_budget(facts)} {left} is left."
            )
        case "app.paused" | "app.resumed":
            app = "every program" if facts.get("app") == EVERYBODY else facts.get("app")
            return f"Calls of {app} are {event.partition('.')[2]}."
        case "key.refused":
            return f"OpenRouter refuses the {facts.get('which') or 'key'}; it was revoked, or was never one."
        case "worker.lost":
            return (
                f"One of the gateway's processes was ended amid {facts.get('attempts')} attempts; OpenRouter is asked "
                "what they cost, and another process takes its place."
            )
        case "ledger.written_off":
            return f"What {facts.get('attempts')} attempts cost was never told; {_money(facts, 'amount')} is assumed."
        case "reconcile.outside":
            return f"Others than this gateway's programs have spent {_money(facts, 'cost')} at OpenRouter."
    if event in _OF_LEDGER:
        return _OF_LEDGER[event].format_map(_Told(facts))
    reason = facts.get("why") or facts.get("reason")
    return f"{event}: {reason}" if reason else event


class _Told(dict[str, Json]):
    """Facts for a sentence, which may miss one."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def _budget(facts: Mapping[str, Json]) -> str:
    return f"{_money(facts, 'limit')} a {facts.get('period')}".removesuffix(" a total")


def _money(facts: Mapping[str, Json], name: str) -> str:
    try:
        amount = Decimal(str(facts.get(name)))
    except InvalidOperation:
        return "an unknown amount"
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"
