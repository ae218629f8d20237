"""The ledger's time: it never runs backwards, so that a clock that was set back opens no budget again."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select, update

from app.adapters.ledger import days, statements
from app.adapters.ledger.schema import attempts, checkpoints, hours, outside, spending
from app.adapters.ledger.statements import DAY_MS, HOUR_MS
from app.core.ports import Clock, Events

_EARLIEST_MS = 1_767_225_600_000
"""The beginning of 2026: no clock that shows an earlier time is right."""


class Timeline:
    """Gives every attempt its moment, in milliseconds since 1970."""

    def __init__(self, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self._last: int | None = None

    def moment(self, connection: Connection) -> int:
        """
        Now, but never before the last attempt.

        A clock that was more than a day ahead and is right again would make that last attempt rule for as long: what
        was written meanwhile is then taken for today's, which it was. A clock that went back into days of which there
        is a record, or to before this program was written, is the one that is wrong: the last attempt rules.
        """
        if self._last is None:
            self._last = connection.execute(statements.last_at).scalar_one() or 0
        now = int(self._clock.now() * 1000)
        if self._last - now > DAY_MS and _was_ahead(connection, now):
            self._bring_back(connection, now)
            self._last = now
        self._last = max(now, self._last)
        return self._last

    def forget(self) -> None:
        """The transaction failed, or the file is another one: look again."""
        self._last = None

    def _bring_back(self, connection: Connection, now: int) -> None:
        self._events.warn("ledger.clock_was_ahead", hours=((self._last or now) - now) // HOUR_MS)
        for table in (attempts, checkpoints, outside):
            connection.execute(update(table).where(table.c.at > now).values(at=now))
        _merge_spending(connection, now // DAY_MS)
        days.forget(connection, now // DAY_MS)
        _merge_hours(connection, now // HOUR_MS)


def _was_ahead(connection: Connection, now: int) -> bool:
    first_after = select(func.min(attempts.c.at)).where(attempts.c.at > now)
    first = connection.execute(first_after).scalar_one()
    return now > _EARLIEST_MS and (first is None or first - now > DAY_MS)


def _merge_spending(connection: Connection, day: int) -> None:
    later = spending.c.day > day
    sums = select(spending.c.app, spending.c.key_id, func.sum(spending.c.cost).label("cost")).where(later)
    rows = connection.execute(sums.group_by(spending.c.app, spending.c.key_id)).mappings().all()
    connection.execute(delete(spending).where(later))
    if rows:
        add = statements.added(spending, statements.SPENDING_KEYS)
        connection.execute(add, [{**row, "day": day, "cost": int(row["cost"])} for row in rows])


def _merge_hours(connection: Connection, hour: int) -> None:
    later = hours.c.hour > hour
    keys = (hours.c.app, hours.c.agent, hours.c.model)
    figures = [column for column in hours.columns if column.name not in statements.HOURS_KEYS]
    sums = select(*keys, *(func.sum(column).label(column.name) for column in figures)).where(later).group_by(*keys)
    rows = connection.execute(sums).mappings().all()
    connection.execute(delete(hours).where(later))
    if rows:
        add = statements.added(hours, statements.HOURS_KEYS)
        whole = [
            {name: int(value) if name not in statements.HOURS_KEYS else value for name, value in row.items()}
            for row in rows
        ]
        connection.execute(add, [{**row, "hour": hour} for row in whole])
