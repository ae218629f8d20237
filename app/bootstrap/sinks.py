"""Who is told what happens: the log, the metrics, the bulletin, the error reports."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from app.adapters.gauges import EVERYTHING, BudgetLeft, Readings
from app.core.ports import Clock, Ledger
from app.core.shared import Places
from app.services.breakers import Breakers
from app.services.credits import Credits
from app.services.usage import Usage
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.adapters.reports import SentrySink


def reports(settings: Settings, clock: Clock) -> list[SentrySink]:
    """Error tracking, where it is wished; raises SettingsError when what it needs is not installed."""
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


def readings(
    slots: Places, credits: Credits, breakers: Breakers, ledger: Ledger, usage: Usage, clock: Clock
) -> Readings:
    """Where the gauges are read."""

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
