"""The ledger's tables, and the steps by which an older ledger becomes one of today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, Integer, MetaData, String, Table, Text, select
from sqlalchemy import insert as insert_into
from sqlalchemy import inspect as inspection

metadata = MetaData()

attempts = Table(
    "attempts",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("call_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    # Milliseconds since 1970, and never smaller than that of the row before.
    Column("at", BigInteger, nullable=False, index=True),
    Column("app", String(64), nullable=False),
    Column("agent", String(64)),
    Column("endpoint", String(64), nullable=False),
    Column("asked", String(256), nullable=False),
    Column("model", String(256), nullable=False),
    Column("served_model", String(256)),
    Column("provider", String(256)),
    Column("key_id", String(16), nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    # Nano-dollars, as every amount here.
    Column("hold", BigInteger, nullable=False),
    Column("priced", Boolean, nullable=False),
    Column("cost", BigInteger),
    Column("source", String(16)),
    Column("is_byok", Boolean),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("generation_id", String(256)),
    Column("status", Integer),
    Column("outcome", String(64)),
    Column("first_content_ms", BigInteger),
    Column("duration_ms", BigInteger),
    Column("closed_at", BigInteger),
)

Index(
    "open_attempts",
    attempts.c.app,
    attempts.c.at,
    sqlite_where=attempts.c.state.in_(("reserved", "ambiguous")),
)

spending = Table(
    "spending",
    metadata,
    Column("app", String(64), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("key_id", String(16), primary_key=True),
    Column("cost", BigInteger, nullable=False),
)
"""What budgets and reconciliation add up: the cost of each app's attempts by their day (days since 1970) and key."""


def _sums_by(time: str) -> tuple[Column[Any], ...]:
    figures = ("calls", "attempts", "prompt_tokens", "completion_tokens", "cost", "estimated")
    return (
        Column(time, Integer, primary_key=True),
        Column("app", String(64), primary_key=True),
        Column("agent", String(64), primary_key=True),
        Column("model", String(256), primary_key=True),
        *(Column(name, BigInteger, nullable=False) for name in figures),
    )


hours = Table("hours", metadata, *_sums_by("hour"))
"""What reports add up, by the hour (hours since 1970) of the attempts; it outlives their rows."""

days = Table("days", metadata, *_sums_by("day"), sqlite_with_rowid=False)
"""The hours of days that are over, added up; there is nothing in it that the hours do not say."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("key_usage", BigInteger),
    Column("account_usage", BigInteger),
    Column("ledger_key", BigInteger, nullable=False),
    Column("ledger_all", BigInteger, nullable=False),
)

outside = Table(
    "outside",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("cost", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
)
"""Spent on the account outside orgate, as reconciliation saw it."""

facts = Table("facts", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False))


class NewerLedger(Exception):
    """The file was written by a newer orgate, which this one would damage."""


def _make_tables(connection: Connection) -> None:
    metadata.create_all(connection)


def _drop_unread_indexes(connection: Connection) -> None:
    """Every hold paid for them, and nothing looks attempts up that way."""
    for name in ("ix_attempts_call_id", "ix_attempts_generation_id"):
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")


def _make_days(connection: Connection) -> None:
    days.create(connection, checkfirst=True)


_STEPS: tuple[Callable[[Connection], None], ...] = (_make_tables, _drop_unread_indexes, _make_days)
"""Step n makes version n + 1 of version n; an empty file is version 0. Steps are only ever added."""

VERSION = len(_STEPS)


def version_of(connection: Connection) -> int:
    """Which version the ledger is; 0 for an empty file."""
    if not inspection(connection).has_table("facts"):
        return 0
    return int(connection.execute(select(facts.c.value).where(facts.c.name == "version")).scalar_one())


def migrate(connection: Connection) -> None:
    """Bring the ledger to today's version, within the transaction at hand; raises NewerLedger."""
    version = version_of(connection)
    if version > VERSION:
        raise NewerLedger(f"version {version}, while this orgate knows {VERSION}")
    for step in _STEPS[version:]:
        step(connection)
    if version == 0:
        connection.execute(insert_into(facts).values(name="version", value=str(VERSION)))
    else:
        connection.execute(facts.update().where(facts.c.name == "version").values(value=str(VERSION)))
