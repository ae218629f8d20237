"""
The few statements of every call, handed to the driver as they are.

SQLAlchemy words them, once; what it does around each execution would cost more than SQLite's own work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

_DIALECT = sqlite.dialect(paramstyle="qmark")


def execute(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Have the driver carry this out; raises SQLAlchemy's DBAPIError."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        return driver.execute(sql, parameters)
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, None, error, sqlite3.Error, dialect=_DIALECT) from error


class Prepared:
    """A statement with its parameters in the driver's order."""

    def __init__(self, statement: UpdateBase | Select[Any], columns: Sequence[str] | None = None) -> None:
        """`columns` are those that an INSERT gives, where these are not all."""
        compiled = statement.compile(dialect=_DIALECT, column_keys=columns)
        self._sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())

    def execute(self, connection: Connection, row: Mapping[str, Any]) -> sqlite3.Cursor:
        """Carry it out within the connection's transaction; raises SQLAlchemy's DBAPIError."""
        return execute(connection, self._sql, [row[name] for name in self._names])
