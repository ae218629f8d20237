"""The books of all attempts: the ledger, who asks what was not told, and those who want to know of costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from app.core.budget import Budget
from app.core.errors import Json
from app.core.ledger import Closing, Hold, Open, State
from app.core.money import nanos
from app.core.ports import Clock, Events, Ledger
from app.services.settler import Settler

_BEGIN_S = 2.0

Spent = Callable[[str, str, int, float], None]
"""Is told of a cost that has become known: app, model, nano-dollars, and when OpenRouter charged it at the latest."""


class Books:
    """The Books port, for all processes of the gateway: what is told here is kept, and acted on once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        settler: Settler,
        clock: Clock,
        events: Events,
        spent: Sequence[Spent],
        may_begin: threading.Event,
    ) -> None:
        self._ledger = ledger
        self._settler = settler
        self._clock = clock
        self._events = events
        self._spent = tuple(spent)
        self._may_begin = may_begin
        self._told: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()
        self._running = 0
        # Of what was sent before this start nobody here knows when it ended.
        self._quiet_since = clock.monotonic() if ledger.began_at() is not None else float("-inf")

    def reserve(self, hold: Hold, budgets: Sequence[Budget]) -> None:
        """Commit the hold: now the attempt may be sent; raises BudgetExceeded or Unavailable."""
        # OpenRouter's totals from before the first call are what the costs of nameless attempts are read from.
        if not self._may_begin.is_set() and not self._may_begin.wait(_BEGIN_S):
            # They do not come: nobody waits for them again.
            self._may_begin.set()
        self._ledger.reserve(hold, budgets)
        with self._lock:
            self._running += 1

    def identify(self, attempt_id: str, generation_id: str) -> None:
        """OpenRouter's id of an attempt under way."""
        self._ledger.identify(attempt_id, generation_id)

    def close(self, hold: Hold, closing: Closing, *, is_last: bool = False) -> None:
        """What became of an attempt; one whose cost is not known is looked after, the last of a call or not."""
        self._ledger.close(closing)
        with self._lock:
            self._running -= 1
            self._quiet_since = self._clock.monotonic()
        if closing.state is State.AMBIGUOUS:
            self._settler.add(_open(hold, closing.generation_id, self._clock.now()))
        elif closing.cost:
            for tell in self._spent:
                tell(hold.app, hold.model, closing.cost, self._clock.now())

    def refused(self, app: str, details: dict[str, Json]) -> None:
        """A budget refused a call of the app: the owner hears of it once in each period."""
        spent, limit = nanos(details.get("spent")) or 0, nanos(details.get("limit")) or 0
        # One call that is too large, or many at a time, say nothing of what will fit later.
        event = "budget.exceeded" if spent * 10 >= limit * 9 else "budget.refused"
        episode = (event, app, *(str(details.get(name)) for name in ("period", "resets_at", "limit")))
        with self._lock:
            if episode in self._told:
                return
            self._told.add(episode)
        self._events.warn(event, app=app, **details)

    def quiet_s(self) -> float:
        """For how many seconds no attempt has been under way; 0 while one is."""
        with self._lock:
            return 0.0 if self._running else self._clock.monotonic() - self._quiet_since


def _open(hold: Hold, generation_id: str | None, now: float) -> Open:
    return Open(
        attempt_id=hold.attempt_id,
        app=hold.app,
        model=hold.model,
        key_id=hold.key_id,
        generation_id=generation_id,
        amount=hold.amount,
        state=State.AMBIGUOUS,
        at=now,
    )
