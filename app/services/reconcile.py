"""Reconciliation: the ledger against OpenRouter's own totals, every hour and on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from app.core import reconcile
from app.core.balance import Figures
from app.core.errors import GatewayError
from app.core.frozen import frozen
from app.core.ledger import Closing, Open, Source, State
from app.core.money import dollars
from app.core.ports import Clock, Events, Ledger
from app.core.reconcile import Totals
from app.services.books import Books
from app.services.credits import Credits
from app.services.settler import Settler

_HOUR_S = 3600.0
_LOOK_S = 2.0
_DAY_S = 86_400.0
_WRITE_OFF_S = _DAY_S
_TROUBLE_S = 60.0
"""So long nothing is tried again after OpenRouter could not be asked."""

_SELDOM_S = 600.0
"""So long attempts wait of which OpenRouter's totals tell nothing."""


@frozen
class Reconciled:
    """What a reconciliation found; money in nano-dollars."""

    settled: int
    """Attempts whose cost has become known."""
    written_off: int
    open: int
    """Attempts whose cost is still not known."""
    outside: int | None
    """Spent by others since the last time; None when the totals could not be compared yet."""
    waits_s: float | None
    """How long until OpenRouter's totals can be trusted, where that is what is waited for."""


class Reconciler:
    """Closes what /generation cannot, and finds what was spent outside orgate."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        credits: Credits,
        books: Books,
        settler: Settler,
        clock: Clock,
        events: Events,
        key_id: Callable[[], str],
        settle_after_s: float,
        keep_days: int,
        begun: threading.Event,
    ) -> None:
        """`begun` is set once the totals from before the first call are on record, or cannot be had."""
        self._ledger = ledger
        self._credits = credits
        self._books = books
        self._settler = settler
        self._clock = clock
        self._events = events
        self._key_id = key_id
        self._settle_after_s = settle_after_s
        self._keep_s = keep_days * _DAY_S
        self._one_at_a_time = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._next_at = 0.0
        self._rests_until = float("-inf")
        self._untold: frozenset[str] = frozenset()
        """The attempts of which OpenRouter's totals told nothing the last time."""
        self._again_at = float("-inf")
        """When the totals are asked for these again."""
        self._is_owed = False
        """OpenRouter's totals were to be compared, and could not be trusted yet."""
        self._has_copies = True
        self._begun = begun
        begun.set()

    def start(self) -> None:
        """Begin to do it by itself; a second start does nothing."""
        if self._thread is None:
            with suppress(GatewayError):
                # Without a key or a ledger that can be read, the rounds to come find out.
                if self._ledger.checkpoint(self._key_id()) is None:
                    self._begun.clear()
            self._thread = threading.Thread(target=self._run, name="orgate-reconcile", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self._settler.stop()
        if self._thread is not None:
            self._thread.join(2)

    def reconcile(self) -> Reconciled:
        """Do all that can be done now; raises GatewayError when OpenRouter cannot be asked."""
        with self._one_at_a_time:
            self._settler.resume()
            before = self._unsettled()
            self._settler.look_now()
            written_off = self._write_off()
            self._ledger.flush()
            outside = self._compare() if self._is_quiet() else None
            self._ledger.flush()
            after = self._unsettled()
            return Reconciled(
                settled=max(0, before - after - written_off),
                written_off=written_off,
                open=after,
                outside=outside,
                waits_s=None if outside is not None else max(0.0, self._settle_after_s - self._books.quiet_s()),
            )

    def _run(self) -> None:
        with suppress(GatewayError):
            self._settler.resume()
        while True:
            try:
                if self._is_due():
                    self._round()
            except GatewayError as error:
                self._events.debug("reconcile.waits", code=error.code)
                self._rest()
            except Exception as error:
                self._events.broke("reconcile.broke", error)
                self._rest()
            self._begun.set()
            if self._stopping.wait(_LOOK_S):
                return

    def _round(self) -> None:
        if self._clock.monotonic() >= self._next_at:
            self._next_at = self._clock.monotonic() + _HOUR_S
            self._keep_house()
        before = self._nameless()
        self._is_owed = self.reconcile().outside is None
        if not self._is_owed:
            self._untold = before & self._nameless()
            self._again_at = self._clock.monotonic() + _SELDOM_S

    def _rest(self) -> None:
        self._next_at = self._rests_until = self._clock.monotonic() + _TROUBLE_S

    def _keep_house(self) -> None:
        try:
            self._ledger.back_up_daily()
            self._has_copies = True
        except GatewayError as error:
            if self._has_copies:
                self._events.warn("ledger.backup_failed", why=error.message)
            self._has_copies = False
        self._ledger.trim(self._clock.now() - self._keep_s)
        self._ledger.sum_up()

    def _is_due(self) -> bool:
        """Once an hour, and as soon as it can close what has no other way to be closed, or compare what is owed."""
        now = self._clock.monotonic()
        if now >= self._next_at:
            return True
        nameless = self._nameless()
        has_cause = self._is_owed or bool(nameless if now >= self._again_at else nameless - self._untold)
        return has_cause and now >= self._rests_until and self._is_quiet()

    def _is_quiet(self) -> bool:
        """OpenRouter's totals lag behind (openrouter.md §7): only after a pause do they hold every attempt."""
        if self._books.quiet_s() < self._settle_after_s:
            return False
        nameless = self._nameless()
        return all(attempt.attempt_id in nameless for attempt in self._ledger.open())

    def _nameless(self) -> frozenset[str]:
        return frozenset(attempt.attempt_id for attempt in self._settler.nameless())

    def _unsettled(self) -> int:
        return sum(attempt.state is State.AMBIGUOUS for attempt in self._ledger.open())

    def _write_off(self) -> int:
        """What nobody could tell within a day counts as what was set aside for it."""
        limit = self._clock.now() - _WRITE_OFF_S
        old = [each for each in self._ledger.open() if each.state is State.AMBIGUOUS and each.at < limit]
        given_up = [each.amount for each in old if self._settler.settled(each, _written_off(each))]
        if given_up:
            self._events.warn("ledger.written_off", attempts=len(given_up), amount=dollars(sum(given_up)))
        return len(given_up)

    def _compare(self) -> int | None:
        """Take the totals apart: first the attempts without a known cost, then what others spent."""
        key_id = self._key_id()
        figures, asked_at = self._credits.told(force=True)
        before = self._ledger.checkpoint(key_id)
        totals = self._totals(figures, key_id)
        if self._books.quiet_s() - (self._clock.now() - asked_at) < self._settle_after_s:
            return None
        if before is None or reconcile.is_another_account(before, totals):
            self._ledger.reconciled(key_id, totals.at(asked_at), 0, "key")
            return 0
        self._share_out(reconcile.difference(before, totals).key, key_id, since=before.at)
        totals = self._totals(figures, key_id)
        found = reconcile.difference(before, totals)
        outside, source = found.outside
        self._ledger.reconciled(key_id, totals.at(asked_at), outside, source)
        if reconcile.is_notable(outside, totals.ledger_all - before.ledger_all):
            self._events.warn("reconcile.outside", cost=dollars(outside), source=source)
        return outside

    def _share_out(self, amount: int | None, key_id: str, since: float) -> None:
        # What was sent before the checkpoint is part of its totals, and no part of what they rose by.
        mine = [each for each in self._settler.nameless() if each.key_id == key_id and each.at >= since]
        if amount is None or not mine:
            return
        for attempt, cost in zip(mine, reconcile.shares([each.amount for each in mine], amount), strict=True):
            self._settler.settled(attempt, Closing(attempt.attempt_id, State.SETTLED, cost=cost, source=Source.KEY))
        self._ledger.flush()

    def _totals(self, figures: Figures, key_id: str) -> Totals:
        mine, everyone = self._ledger.settled_for(key_id)
        return Totals(figures.key.used if figures.key else None, figures.used, mine, everyone)


def _written_off(attempt: Open) -> Closing:
    return Closing(attempt.attempt_id, State.WRITTEN_OFF, cost=attempt.amount, source=Source.ESTIMATE)
