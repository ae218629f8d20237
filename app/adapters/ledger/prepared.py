"""
The few statements of every call and the transactions around them, handed to the driver as they are.

SQLAlchemy words the statements, once; what it does around each execution would cost more than SQLite's own work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

_DIALECT = sqlite.dialect(paramstyle="named")
_T = TypeVar("_T")
_NONE: Mapping[str, Any] = {}


def driver_of(connection: Connection) -> sqlite3.Connection:
    """What SQLAlchemy's connection stands on."""
    driver: Any = connection.connection.dbapi_connection  # SQLAlchemy's word for any database's
    assert isinstance(driver, sqlite3.Connection)
    return driver


def execute(connection: Connection, sql: str, parameters: Mapping[str, Any] = _NONE) -> sqlite3.Cursor:
    """Have the driver carry this out; raises SQLAlchemy's DBAPIError."""
    try:
        return driver_of(connection).execute(sql, parameters)
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, None, error, sqlite3.Error, dialect=_DIALECT) from error


def write(connection: Connection, work: Callable[[Connection], _T], *, is_single: bool = False) -> _T:
    """
    What the work returns, carried out in one transaction; raises what it raises, and SQLAlchemy's DBAPIError.

    SQLAlchemy hears of it only if a statement of its own is carried out within; then that begins one in any case. A
    single statement to the driver is one by itself.
    """
    if not is_single:
        execute(connection, "BEGIN IMMEDIATE")
    try:
        done = work(connection)
        if connection.in_transaction():
            connection.commit()
        elif not is_single:
            execute(connection, "COMMIT")
    except BaseException:
        connection.rollback()
        driver_of(connection).rollback()
        raise
    return done


class Prepared:
    """A statement, worded once."""

    def __init__(self, statement: UpdateBase | Select[Any], columns: Sequence[str] | None = None) -> None:
        """`columns` are those that an INSERT gives, where these are not all."""
        self._sql = str(statement.compile(dialect=_DIALECT, column_keys=columns))

    def execute(self, connection: Connection, row: Mapping[str, Any]) -> sqlite3.Cursor:
        """Carry it out within the connection's transaction; raises SQLAlchemy's DBAPIError."""
        return execute(connection, self._sql, row)
