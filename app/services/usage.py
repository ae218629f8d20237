"""What was spent, by whom, and what each app may still spend."""

from __future__ import annotations

from app.core.budget import PERIODS, begin_of, end_of
from app.core.frozen import frozen
from app.core.ledger import UsageReport
from app.core.ports import Clock, Ledger, Tokens


@frozen
class Standing:
    """Where one budget of an app stands, in nano-dollars; the narrowest, where its tokens differ."""

    app: str
    period: str
    limit: int
    spent: int
    held: int
    resets_at: float | None
    """Seconds since 1970 when the budget is new; None for "total"."""

    @property
    def left(self) -> int:
        """What may still be spent; never below 0."""
        return max(0, self.limit - self.spent - self.held)


class Usage:
    """Reads the ledger for people."""

    def __init__(self, ledger: Ledger, tokens: Tokens, clock: Clock) -> None:
        self._ledger = ledger
        self._tokens = tokens
        self._clock = clock

    def report(self, by: str, since: float = 0.0, until: float | None = None) -> UsageReport:
        """Spending by "day", "app", "model" or "agent" between two moments in seconds since 1970; raises BadRequest."""
        return self._ledger.usage(by, since, self._clock.now() + 1 if until is None else until)

    def budgets(self) -> list[Standing]:
        """Every budget in force, by app and period."""
        now = self._clock.now()
        limits: dict[tuple[str, str], int] = {}
        for grant in self._tokens.all():
            if grant.revoked_at is None and grant.expires_at > now:
                for period, limit in grant.budgets.items():
                    place = (grant.app, period)
                    limits[place] = min(limit, limits.get(place, limit))
        order = sorted(limits.items(), key=lambda each: (each[0][0], PERIODS.index(each[0][1])))
        return [self._standing(app, period, limit, now) for (app, period), limit in order]

    def _standing(self, app: str, period: str, limit: int, now: float) -> Standing:
        spent, held = self._ledger.taken(app, begin_of(period, now))
        return Standing(app, period, limit, spent, held, end_of(period, now))
