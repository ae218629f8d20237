"""The ledger: SQLite through SQLAlchemy Core, one connection that writes."""

from app.adapters.ledger.schema import NewerLedger
from app.adapters.ledger.sql import SqlLedger

__all__ = ["NewerLedger", "SqlLedger"]
