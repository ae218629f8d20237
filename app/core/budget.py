"""An app's budgets: how much it may spend in which stretch of time, and what it is told when that is used up."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from app.core.errors import BudgetExceeded
from app.core.frozen import frozen
from app.core.money import dollars, nanos

PERIODS = ("day", "week", "month", "total")
"""Days, weeks (from Monday) and months of the calendar, in UTC; or everything the app has ever spent."""

_FORM = re.compile(r"\$?(\d+(?:\.\d{1,9})?)(?:/(day|week|month|total))?")


@frozen
class Budget:
    """What an app may spend in one period, in nano-dollars."""

    period: str
    limit: int

    @classmethod
    def parse(cls, text: str) -> Budget:
        """The budget in a text such as "5/day", "$20/month" or "100" (in all); raises ValueError."""
        found = _FORM.fullmatch(text.strip().lower())
        limit = nanos(found[1]) if found else None
        if found is None or limit is None:
            raise ValueError("takes dollars and a period, such as 5/day, 20/week, 50/month or 200/total")
        return cls(found[2] or "total", limit)

    def told(self) -> str:
        """The budget as it is written on the command line."""
        return f"{dollars(self.limit)}/{self.period}"

    def since(self, now: float) -> float:
        """The beginning of the period that this moment lies in; both in seconds since 1970."""
        return begin_of(self.period, now)


def begin_of(period: str, now: float) -> float:
    """The first moment of the day, week or month around `now`, in seconds since 1970; 0 for "total"."""
    if period == "total":
        return 0.0
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        midnight -= timedelta(days=midnight.weekday())
    elif period == "month":
        midnight = midnight.replace(day=1)
    return midnight.timestamp()


def end_of(period: str, now: float) -> float | None:
    """The moment the period around `now` is over and the budget is new; None for "total"."""
    if period == "total":
        return None
    begin = datetime.fromtimestamp(begin_of(period, now), UTC)
    if period == "month":
        return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1).timestamp()
    return (begin + timedelta(days=7 if period == "week" else 1)).timestamp()


def check(budget: Budget, *, settled: int, held: int, wanted: int, now: float) -> None:
    """
    Raise BudgetExceeded when one more hold of `wanted` nano-dollars does not fit.

    `settled` is what the app has spent in the period, `held` what its unsettled attempts may still cost.
    """
    left = budget.limit - settled - held
    if wanted == 0 or wanted <= left:
        return
    resets = end_of(budget.period, now)
    until = f"; it is new at {_moment(resets)}" if resets is not None else ""
    aside = f" while ${dollars(held)} is set aside for other calls" if held else ""
    raise BudgetExceeded(
        f"The budget of ${budget.told()} has ${dollars(max(left, 0))} left{aside}, and this call may cost "
        f"${dollars(wanted)}{until}. A smaller max_tokens lowers what a call may cost.",
        details={
            "period": budget.period,
            "limit": dollars(budget.limit),
            "spent": dollars(settled),
            "held": dollars(held),
            "left": dollars(max(left, 0)),
            "wanted": dollars(wanted),
            "resets_at": None if resets is None else _moment(resets),
        },
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
