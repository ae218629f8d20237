"""Ledgers on real files, what is written into them, and what happens to the files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event

from app.adapters.ledger import SqlLedger
from app.core.ledger import Closing, Hold, Source, State
from tests.services.fakes import FakeClock, Recorder

KEY_ID = "0123456789abcdef"
OTHER_KEY_ID = "fedcba9876543210"
MIDNIGHT = 1_799_971_200.0
"""The beginning of the day that the FakeClock starts in: Friday, 15 January 2027."""
HOUR = 3600.0
DAY = 86_400.0


def hold(attempt_id: str = "call:1", amount: int = 1_000, **facts: Any) -> Hold:
    """A hold of the editor's, but for these facts."""
    whole: dict[str, Any] = {
        "call_id": attempt_id.partition(":")[0],
        "number": 1,
        "app": "editor",
        "endpoint": "/chat/completions",
        "asked": "author/asked",
        "model": "author/model",
        "key_id": KEY_ID,
        "priced": True,
    }
    return Hold(attempt_id=attempt_id, amount=amount, **{**whole, **facts})


def settled(attempt_id: str, cost: int, **facts: Any) -> Closing:
    """The cost came with the answer."""
    return Closing(attempt_id, **{"state": State.SETTLED, "cost": cost, "source": Source.ANSWER, **facts})


def ambiguous(attempt_id: str, **facts: Any) -> Closing:
    """Nobody knows yet."""
    return Closing(attempt_id, State.AMBIGUOUS, **facts)


def released(attempt_id: str) -> Closing:
    """It cost nothing."""
    return Closing(attempt_id, State.RELEASED, cost=0)


def opened(path: Path, clock: FakeClock | None = None, events: Recorder | None = None) -> SqlLedger:
    """A ledger that is ready."""
    ledger = SqlLedger(path, clock or FakeClock(), events or Recorder())
    ledger.open_for_use()
    return ledger


def crash(ledger: SqlLedger) -> Callable[[], None]:
    """
    What the ledger was still to write is lost, as when its process is killed; the file stays as it is.

    Returns what lets go of its connection, for when the file is open again: the last one to close it tidies up.
    """
    writer = ledger._writer
    with writer._turn:
        writer._lookout._stopped.set()
        writer._jobs.clear()
        writer._later = None
    writer._lookout.stop()
    return writer._drop


def rows(path: Path, table: str = "attempts") -> list[dict[str, Any]]:
    """What is in a table of the file, whoever has it open."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def changed(path: Path, statement: str) -> None:
    """Change the file behind the ledger's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def merge_log(path: Path) -> None:
    """Have everything in the main file, so that damage to it matters."""
    changed(path, "PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def hampered(ledger: SqlLedger, pragma: str) -> Iterator[None]:
    """Every connection that writes is under this pragma for the time being, that at hand and new ones."""
    engine = ledger._database._writing
    lifted = threading.Event()

    def hamper(connection: sqlite3.Connection, *_: object) -> None:
        if not lifted.is_set():
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", hamper)
    with ledger._writer._turn:
        ledger._writer._drop()
    try:
        yield
    finally:
        lifted.set()
        with ledger._writer._turn:
            ledger._writer._drop()


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another(path: Path) -> Iterator[None]:
    """Another process has begun to write into the ledger and does not end."""
    other = subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        other.communicate()


def close(ledger: SqlLedger, *closings: Closing) -> None:
    """Close these attempts, and have that written."""
    for closing_ in closings:
        ledger.close(closing_)
    ledger.flush()
