"""
Sums by day, made of the hours of days that are over, so that reports have a fraction of the rows to read.

They are a copy of what the hours say, up to the day that a fact names: what is written into an hour before it is
written into its day too, in the same transaction. So they are exact at every moment, whoever reads or writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, Subquery, delete, func, insert, select, union_all

from app.adapters.ledger import statements
from app.adapters.ledger.prepared import Prepared
from app.adapters.ledger.schema import days, facts, hours
from app.adapters.ledger.statements import SUMMED_BEFORE

HOURS = 24
_AT_ONCE = 7
"""So many days take about a hundredth of a second, which calls have to wait for."""

_KEYS = ("day", "app", "agent", "model")
_NAMES = tuple(column.name for column in days.columns)
_FIGURES = tuple(name for name in _NAMES if name not in _KEYS)
_DAY = hours.c.hour // HOURS

_add = Prepared(statements.added(days, _KEYS))


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Add to a day of which there are sums what is being added to one of its hours."""
    _add.execute(connection, {**row, "day": row["hour"] // HOURS})


def summed_before(connection: Connection) -> int:
    """The day, counted from 1970, of which and after which there are no sums by day."""
    found = statements.summed_before.execute(connection, {}).fetchone()
    return int(found[0]) if found else 0


def sum_up(connection: Connection) -> int:
    """Add up the next few days that are over; how many were taken, none when there are no more."""
    begin = summed_before(connection)
    span = select(func.min(hours.c.hour), func.max(hours.c.hour)).where(hours.c.hour >= begin * HOURS)
    first, last = connection.execute(span).one()
    if first is None or first // HOURS == last // HOURS:
        # The last day with calls may not be over.
        return 0
    end = min(first // HOURS + _AT_ONCE, last // HOURS)
    sums = select(_DAY, *(hours.c[name] for name in _KEYS[1:]), *(func.sum(hours.c[name]) for name in _FIGURES))
    sums = sums.where(hours.c.hour.between(first, end * HOURS - 1)).group_by(
        _DAY, hours.c.app, hours.c.agent, hours.c.model
    )
    connection.execute(insert(days).from_select(_NAMES, sums))
    _set_summed_before(connection, end)
    return int(end - first // HOURS)


def forget(connection: Connection, day: int) -> None:
    """Leave the sums of this day and those after it: their hours are about to change."""
    if day < summed_before(connection):
        connection.execute(delete(days).where(days.c.day >= day))
        _set_summed_before(connection, day)


def between(connection: Connection, first: int, last: int) -> Subquery:
    """What was spent from one hour to another, both included: rows by `day`, app, agent and model, several of each."""
    end = min(summed_before(connection), (last + 1) // HOURS)
    begin = -(-first // HOURS)
    if begin >= end:
        return _of_hours(first, last).subquery()
    parts = [select(*days.columns).where(days.c.day.between(begin, end - 1)), _of_hours(end * HOURS, last)]
    if first < begin * HOURS:
        parts.append(_of_hours(first, begin * HOURS - 1))
    return union_all(*parts).subquery()


def _of_hours(first: int, last: int) -> Select[Any]:
    wanted = select(_DAY.label("day"), *(hours.c[name] for name in _NAMES[1:]))
    return wanted.where(hours.c.hour.between(first, last))


def _set_summed_before(connection: Connection, day: int) -> None:
    connection.execute(statements.replaced(facts, "name"), {"name": SUMMED_BEFORE, "value": str(day)})
