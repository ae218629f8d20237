"""The pace of spending, from what the ledger holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.core.forecast import WINDOWS, Forecast, forecast
from app.core.ports import Clock, Events

_KEPT_S = 5.0
"""Programs that ask again and again are told the same sums for so long."""


class Spendings(Protocol):
    """The part of the Ledger port that tells what was spent when."""

    def spent_between(self, since: float, until: float) -> int:
        """Nano-dollars between two moments, in seconds since 1970."""
        ...

    def began_at(self) -> float | None:
        """When the record begins, in seconds since 1970."""
        ...


class Pace:
    """Adds up the last hour, day and week."""

    def __init__(self, ledger: Spendings, clock: Clock, events: Events) -> None:
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self._known: tuple[float, Mapping[str, int], float | None] | None = None

    def forecast(self, remaining: int | None) -> Forecast:
        """Where spending leads when so many nano-dollars remain; a ledger that cannot be read knows nothing."""
        spent, began_at = self._sums()
        return forecast(spent, began_at, self._clock.now(), remaining)

    def _sums(self) -> tuple[Mapping[str, int], float | None]:
        known, asked_at = self._known, self._clock.monotonic()
        if known is None or asked_at - known[0] >= _KEPT_S:
            known = self._known = (asked_at, *self._read())
        return known[1:]

    def _read(self) -> tuple[Mapping[str, int], float | None]:
        now = self._clock.now()
        try:
            spent = {name: self._ledger.spent_between(now - window_s, now) for name, window_s in WINDOWS.items()}
            return spent, self._ledger.began_at()
        except Exception as error:
            # The balance is told all the same.
            self._events.broke("forecast.broke", error)
            return dict.fromkeys(WINDOWS, 0), None
