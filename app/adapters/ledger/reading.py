"""What is read from the ledger, on connections of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from app.adapters.ledger import days, statements
from app.adapters.ledger.database import Database
from app.adapters.ledger.schema import attempts, checkpoints, facts, hours, outside, spending
from app.core.ledger import BY, GROUPS, Checkpoint, Open, State, Sums, UsageReport, UsageRow

HOUR_S = 3600
_FINE_S = 6 * HOUR_S
"""A longer stretch is added up by whole hours."""

_FOREVER = 2**40
"""An hour that never comes."""

_FIGURES = ("calls", "attempts", "prompt_tokens", "completion_tokens", "cost", "estimated")


class Reading:
    """Answers from the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> list[Open]:
        """Every attempt that is reserved or ambiguous, oldest first."""
        wanted = select(attempts).where(statements.is_open).order_by(attempts.c.at)
        with self._database.reader() as connection:
            return [_open(row) for row in connection.execute(wanted)]

    def sums(self, app: str | None) -> Sums:
        """Everything ever, of one app or of all."""
        with self._database.reader() as connection:
            settled = select(_total(spending.c.cost))
            settled = settled if app is None else settled.where(spending.c.app == app)
            return _sums(connection, app, int(connection.execute(settled).scalar_one()), 0, 2**62)

    def taken(self, app: str, since_ms: int) -> tuple[int, int]:
        """What this app has spent since a midnight, and what its open holds of that time amount to."""
        with self._database.reader() as connection:
            return statements.taken(connection, app, since_ms)

    def spent_between(self, since: float, until: float) -> int:
        """What attempts sent in this time have cost, in nano-dollars."""
        if until - since > _FINE_S:
            wanted = select(_total(hours.c.cost)).where(
                hours.c.hour.between(int(since // HOUR_S), int(until // HOUR_S))
            )
        else:
            wanted = select(_total(attempts.c.cost)).where(
                attempts.c.at >= int(since * 1000), attempts.c.at < int(until * 1000)
            )
        with self._database.reader() as connection:
            return int(connection.execute(wanted).scalar_one())

    def began_at(self) -> float | None:
        """When the oldest attempt on record was sent, in seconds since 1970."""
        with self._database.reader() as connection:
            first = connection.execute(select(func.min(attempts.c.at))).scalar_one()
        return None if first is None else first / 1000

    def usage(self, by: str, since: float, until: float) -> UsageReport:
        """Spending by day, app, model or agent; raises BadRequest for another word."""
        if by not in GROUPS:
            raise BY.refusal()
        first, last = int(since // HOUR_S), int(-(-until // HOUR_S)) - 1
        with self._database.reader() as connection:
            spent = days.between(connection, first, last).columns
            group = spent[by].label("grouped")
            wanted = select(group, *(_total(spent[name]).label(name) for name in _FIGURES)).group_by(group)
            wanted = wanted.order_by(group if by == "day" else _total(spent.cost).desc())
            rows = tuple(_usage_row(by, row) for row in connection.execute(wanted))
            sums = _sums(connection, None, sum(row.cost for row in rows), int(since * 1000), int(until * 1000))
        return UsageReport(by, since, until, rows, sums)

    def costs(self) -> list[tuple[str, str, int]]:
        """What every app has ever spent on every model: app, model, nano-dollars."""
        with self._database.reader() as connection:
            spent = days.between(connection, 0, _FOREVER).columns
            wanted = select(spent.app, spent.model, _total(spent.cost)).group_by(spent.app, spent.model)
            return [(app, model, int(cost)) for app, model, cost in connection.execute(wanted)]

    def settled_for(self, key_id: str) -> tuple[int, int]:
        """What has ever been settled for one key, and for all keys."""
        with self._database.reader() as connection:
            mine = select(_total(spending.c.cost)).where(spending.c.key_id == key_id)
            everyone = select(_total(spending.c.cost))
            return int(connection.execute(mine).scalar_one()), int(connection.execute(everyone).scalar_one())

    def checkpoint(self, key_id: str) -> Checkpoint | None:
        """The last one of this key."""
        with self._database.reader() as connection:
            row = connection.execute(select(checkpoints).where(checkpoints.c.key_id == key_id)).one_or_none()
            if row is None:
                return None
            elsewhere = _elsewhere(connection, key_id, row.at)
        return Checkpoint(row.at / 1000, row.key_usage, row.account_usage, row.ledger_key, row.ledger_all, elsewhere)

    def fact(self, name: str) -> str | None:
        """A fact kept for the gateway's next start."""
        with self._database.reader() as connection:
            return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar_one_or_none()

    def count(self) -> tuple[int, float | None]:
        """How many attempts are on record, and when the oldest was sent."""
        with self._database.reader() as connection:
            found = connection.execute(select(func.count(), func.min(attempts.c.at)).select_from(attempts)).one()
        return int(found[0]), None if found[1] is None else found[1] / 1000


def _elsewhere(connection: Connection, key_id: str, since_ms: int) -> tuple[tuple[int, int], ...]:
    """What was found spent on the account under other keys since then, each with the account's total by that key."""
    wanted = (
        select(checkpoints.c.account_usage, _total(outside.c.cost))
        .join(outside, outside.c.key_id == checkpoints.c.key_id)
        .where(outside.c.key_id != key_id, outside.c.source == "credits", outside.c.at > since_ms)
        .where(checkpoints.c.account_usage.is_not(None))
        .group_by(checkpoints.c.key_id, checkpoints.c.account_usage)
    )
    return tuple((int(total), int(amount)) for total, amount in connection.execute(wanted))


def _total(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _sums(connection: Connection, app: str | None, settled: int, since_ms: int, until_ms: int) -> Sums:
    held = select(attempts.c.state, func.sum(attempts.c.hold)).where(statements.is_open).group_by(attempts.c.state)
    held = held if app is None else held.where(attempts.c.app == app)
    by_state = {state: int(amount) for state, amount in connection.execute(held)}
    others = select(_total(outside.c.cost)).where(outside.c.at.between(since_ms, until_ms))
    return Sums(
        settled=settled,
        held=sum(by_state.values()),
        unsettled=by_state.get(State.AMBIGUOUS.value, 0),
        outside=int(connection.execute(others).scalar_one()) if app is None else 0,
    )


def _open(row: Row[Any]) -> Open:
    return Open(
        attempt_id=row.id,
        app=row.app,
        model=row.model,
        key_id=row.key_id,
        generation_id=row.generation_id,
        amount=row.hold,
        state=State(row.state),
        at=row.at / 1000,
    )


def _usage_row(by: str, row: Row[Any]) -> UsageRow:
    key = row.grouped
    if by == "day":
        key = datetime.fromtimestamp(int(row.grouped) * 86_400, UTC).strftime("%Y-%m-%d")
    return UsageRow(
        key=str(key),
        calls=int(row.calls),
        attempts=int(row.attempts),
        prompt_tokens=int(row.prompt_tokens),
        completion_tokens=int(row.completion_tokens),
        cost=int(row.cost),
        estimated=int(row.estimated),
    )
