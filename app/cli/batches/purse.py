"""The batch's own budget: no call is started that could exceed it, as far as prices are known."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from app.core.agents.agent import PREFIX as AGENT
from app.core.batch import Item
from app.core.catalogue import Model, by_name, entry_in
from app.core.chain import models_of
from app.core.estimate import hold_of


class Purse:
    """Nano-dollars, spent and set aside; used from several threads."""

    def __init__(self, limit: int | None, spent: int) -> None:
        self.spent = spent
        self._limit = limit
        self._held = 0
        self._running = 0
        self._unknown = 0
        self._ended = 0
        self._waiting = 0
        self._changed = threading.Condition()

    def take(self, most: int | None, *, paid_already: bool = False) -> bool:
        """
        Set aside what a call costs at most (None: nobody knows), once it fits; False when it never will.

        A call that may have been paid for already is let through in any case: asking for it again costs nothing.
        """
        with self._changed:
            while not (paid_already or self._fits(most)):
                if not self._running:
                    return False
                self._changed.wait()
            self._held += most or 0
            self._running += 1
            self._unknown += most is None
            return True

    def settle(self, most: int | None, cost: int) -> None:
        """The call is over and counts as this much."""
        with self._changed:
            self._held -= most or 0
            self._running -= 1
            self._unknown -= most is None
            self.spent += cost
            self._ended += 1
            self._changed.notify_all()

    def wait_for_another(self) -> bool:
        """Wait, within a call, until another one is over, which frees what it set aside; False when none is left."""
        with self._changed:
            self._waiting += 1
            try:
                before = self._ended
                while self._ended == before:
                    if self._running == self._waiting:
                        return False
                    self._changed.wait()
                return True
            finally:
                self._waiting -= 1

    def _fits(self, most: int | None) -> bool:
        if self._limit is None:
            return True
        if most is None:
            # One at a time, so that at most one can pass the limit.
            return not self._unknown and self.spent + self._held < self._limit
        return self.spent + self._held + most <= self._limit


class Prices:
    """What requests cost at most, by the gateway's catalogue."""

    def __init__(self, models: Sequence[Model]) -> None:
        # An agent has a prompt and models of its own, which its entry does not tell.
        self._entries = by_name(model for model in models if not str(model["id"]).startswith(AGENT))

    def most(self, item: Item) -> int | None:
        """Nano-dollars of the dearest model that may answer; None when a price is not known."""
        body, style, size = item.body, item.style, len(item.raw)
        names = models_of(str(body.get("model") or ""), style.fallbacks(body))
        guesses = [
            hold_of(entry_in(self._entries, name), {**body, "model": name}, size, unknown=0, style=style)
            for name in names
        ]
        return max(guess.amount for guess in guesses) if all(guess.priced for guess in guesses) else None
