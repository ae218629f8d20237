"""The document's "Credit Monitoring": what the log, the apps and the owner are told of the account's money."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from app.core.balance import Figures, KeyFigures
from app.core.forecast import Forecast, about
from app.core.money import dollars, dollars_if_known
from app.core.ports import Clock, Events
from app.services.alarms import Alarm, Facts


class Monitor:
    """Looks at figures as they come in and as they sink, and says a thing once."""

    def __init__(
        self,
        *,
        facts: Facts,
        forecast: Callable[[int | None], Forecast],
        clock: Clock,
        events: Events,
        low_marks: tuple[int, ...],
    ) -> None:
        self._forecast = forecast
        self._clock = clock
        self._events = events
        self._low_marks = low_marks
        self._of_account = Alarm("credits", facts)
        self._of_key = Alarm("key", facts)
        self._refused: str | None = None

    def fetched(self, figures: Figures, before: Figures | None) -> None:
        """OpenRouter told these figures after those; a total that rose is a purchase."""
        self._refused = None
        self._events.note("credits.status", **_shown(figures))
        if before and before.total is not None and figures.total is not None and figures.total > before.total:
            amount = dollars(figures.total - before.total)
            self._events.note("credits.purchased", amount=amount, **_shown(figures))

    def refused(self, key_id: str, which: str) -> None:
        """OpenRouter refused a key; it is said once until figures come again or the key is another one."""
        if self._refused != key_id:
            self._refused = key_id
            self._events.warn("key.refused", which=which)

    def look(self, key_id: str, figures: Figures) -> list[int]:
        """
        Warn of what is low in the figures as of now: the account's balance and, apart from it, the key's limit.

        For each warning that may follow, how much can be spent before there is reason for it, in nano-dollars.
        """
        try:
            self._look_at_account(key_id, figures)
            if figures.key is not None:
                self._look_at_key(key_id, figures.key)
            return self._room(key_id, figures)
        except Exception as error:
            # The call or the answer that brought the figures must not suffer.
            self._events.broke("credits.alarm_broke", error)
            return [0]

    def _room(self, key_id: str, figures: Figures) -> list[int]:
        room = self._of_account.room(key_id, self._low_marks, figures.remaining)
        key = figures.key
        return room if key is None else room + self._of_key.room(key_id, self._marks_of(key), key.limit_remaining)

    def _look_at_account(self, key_id: str, figures: Figures) -> None:
        mark = self._of_account.look(key_id, self._low_marks, figures.remaining)
        if mark is not None:
            forecast = self._forecast(figures.remaining)
            self._events.warn("credits.low", below=dollars(mark), **_shown(figures), **self._told(forecast))

    def _look_at_key(self, key_id: str, key: KeyFigures) -> None:
        mark = self._of_key.look(key_id, self._marks_of(key), key.limit_remaining)
        if mark is not None:
            self._events.warn(
                "key.low",
                below=dollars(mark),
                remaining=dollars_if_known(key.limit_remaining),
                limit=dollars_if_known(key.limit),
                resets=key.limit_reset,
            )

    def _marks_of(self, key: KeyFigures) -> list[int]:
        """All but those that a full limit could never be clearly above: they would warn of the limit itself."""
        return [mark for mark in self._low_marks if key.limit is None or mark * 6 < key.limit * 5]

    def _told(self, forecast: Forecast) -> dict[str, object]:
        ends_at = forecast.ends_at
        return {
            "per_hour": {name: dollars_if_known(pace) for name, pace in forecast.per_hour.items()},
            "ends_at": None if ends_at is None else datetime.fromtimestamp(ends_at, UTC).isoformat(timespec="seconds"),
            "lasts": None if ends_at is None else about(ends_at - self._clock.now()),
        }


def _shown(figures: Figures) -> dict[str, object]:
    remaining, total, used = figures.remaining, figures.total, figures.used
    return {
        "total": dollars_if_known(total),
        "remaining": dollars_if_known(remaining),
        "used": dollars_if_known(used),
        "percentage": round(used * 100 / total, 2) if total and used is not None else None,
        "key_remaining": dollars_if_known(figures.key.limit_remaining) if figures.key else None,
        "source": figures.source,
    }
