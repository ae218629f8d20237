"""What is written, as statements."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Connection,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as insert_or

from app.adapters.ledger.prepared import Prepared
from app.adapters.ledger.schema import attempts, checkpoints, facts, hours, outside, spending
from app.core.ledger import OPEN

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

is_open = attempts.c.state.in_([literal_column(f"'{state.value}'", String) for state in OPEN])
"""Written out: a partial index is not used for a parameter."""

_FROM_HOLD = (
    "id", "call_id", "number", "at", "app", "agent", "endpoint", "asked", "model", "key_id", "stream", "state", "hold",
    "priced",
)  # fmt: skip

reserve = Prepared(insert(attempts), _FROM_HOLD)

_FROM_CLOSING = (
    "state", "cost", "source", "served_model", "provider", "generation_id", "is_byok", "prompt_tokens",
    "completion_tokens", "cached_tokens", "reasoning_tokens", "status", "outcome", "first_content_ms", "duration_ms",
    "closed_at",
)  # fmt: skip

SUMMED_BEFORE = "summed_before"
"""The fact that names the day of which, and after which, there are no sums by day."""

summed_before = Prepared(select(facts.c.value).where(facts.c.name == literal_column(f"'{SUMMED_BEFORE}'")))

close = Prepared(
    update(attempts)
    .where(attempts.c.id == bindparam("attempt_id"), is_open)
    .values({name: func.coalesce(bindparam(f"new_{name}"), attempts.c[name]) for name in _FROM_CLOSING})
    .returning(
        attempts.c.number,
        attempts.c.at,
        attempts.c.app,
        attempts.c.agent,
        attempts.c.model,
        attempts.c.key_id,
        attempts.c.prompt_tokens,
        attempts.c.completion_tokens,
    )
)
"""Closes what is open, and only that; what the closing does not say stays."""

identify = (
    update(attempts)
    .where(attempts.c.id == bindparam("attempt_id"), is_open)
    .values(generation_id=bindparam("new_generation_id"))
)

doubt_all = update(attempts).where(is_open, attempts.c.state == "reserved").values(state="ambiguous")
"""`is_open` says nothing new, but finds them by their index."""

_NOTHING = literal_column("0", BigInteger)
_settled = select(func.coalesce(func.sum(spending.c.cost), _NOTHING)).where(
    spending.c.app == bindparam("app"), spending.c.day >= bindparam("day")
)
_held = select(func.coalesce(func.sum(attempts.c.hold), _NOTHING)).where(
    attempts.c.app == bindparam("app"), attempts.c.at >= bindparam("since"), is_open
)
_taken = Prepared(select(_settled.scalar_subquery(), _held.scalar_subquery()))


def taken(connection: Connection, app: str, since_ms: int) -> tuple[int, int]:
    """What an app has spent and what it holds since a midnight, in milliseconds since 1970; what lies ahead counts."""
    found = _taken.execute(connection, {"app": app, "day": since_ms // DAY_MS, "since": since_ms})
    ((settled, held),) = found.fetchall()
    return int(settled), int(held)


@lru_cache
def added(table: Table, keys: tuple[str, ...]) -> Insert:
    """Insert a row, or add its figures to the one that is there under the same keys."""
    statement = insert_or(table)
    figures = [column.name for column in table.columns if column.name not in keys]
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: table.c[name] + statement.excluded[name] for name in figures}
    )


@lru_cache
def replaced(table: Table, key: str) -> Insert:
    """Insert a row in place of the one with the same key."""
    statement = insert_or(table)
    others = [column.name for column in table.columns if column.name != key]
    return statement.on_conflict_do_update(
        index_elements=[key], set_={name: statement.excluded[name] for name in others}
    )


SPENDING_KEYS = ("app", "day", "key_id")
HOURS_KEYS = ("hour", "app", "agent", "model")

add_spending = Prepared(added(spending, SPENDING_KEYS))
add_hour = Prepared(added(hours, HOURS_KEYS))

forget_fact = delete(facts).where(facts.c.name == bindparam("name_"))
note_outside = insert(outside)
last_at = select(func.max(attempts.c.at))
fact = select(facts.c.value).where(facts.c.name == bindparam("name_"))
checkpoint_at = select(checkpoints.c.at).where(checkpoints.c.key_id == bindparam("key_id"))
