"""The SQLite file behind the ledger: opened with care, restored rather than replaced by an empty one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError, NoResultFound, OperationalError, SQLAlchemyError

from app.adapters.ledger import files, statements
from app.adapters.ledger.prepared import driver_of, execute
from app.adapters.ledger.schema import facts, migrate, version_of
from app.core.errors import Unavailable
from app.core.ports import Events

LOCKED = "locked"
_CHECKED_UP_TO = 64 * 2**20
"""A larger file is not read through at the start, which must stay short; `orgate db` does it on demand."""

_REMOVED = "the ledger was removed"
_EMPTIED = "the ledger was emptied"
_DAMAGED = "the ledger was damaged"
_EXCHANGED = "another file was put in the ledger's place"


class Database:
    """One file, one connection that writes and checkpoints, and as many that read as are wanted."""

    def __init__(self, path: Path, events: Events) -> None:
        self.path = path
        self._events = events
        self._known: files.Identity | None = None
        """The files that the writing connection has open, or had last."""
        self.is_suspect = False
        """SQLite has found something broken in the file: it is read through, however large it is."""
        self._writing = _engine(path, writes=True)
        self._reading = _engine(path, writes=False)

    def connect(self) -> Connection:
        """The connection that writes, on a ledger of today's version; raises NewerLedger, SQLAlchemy's and OSError."""
        self._take_kept()
        lost = self._why_lost()
        if lost is not None:
            self._restore(lost)
        connection = self._open()
        if lost is None and self._known is not None and self._known[0] != files.identity(self.path)[0]:
            self._lock_exchanged(connection)
        self._known, self.is_suspect = files.identity(self.path), False
        return connection

    def check(self, connection: Connection) -> Connection:
        """The connection, or a new one when the file under it was removed, exchanged or broken; what it has is kept."""
        found, known = files.identity(self.path), self._known
        if found == known and not self.is_suspect:
            return connection
        assert known is not None
        is_ours = found[0] in (None, known[0])
        if not is_ours:
            # Whoever did this may want back what was here.
            with suppress(SQLAlchemyError, OSError):
                self._write_out(connection, files.aside(self.path, "exchanged"))
        elif found != known:
            self._write_out(connection, self._kept)
            self._events.warn("ledger.put_back", path=str(self.path))
        connection.close()
        if found != known and (is_ours or found[1] == known[1]):
            # A write-ahead log that is left behind would be read into whatever stands here next.
            files.remove_companions(self.path)
        return self.connect()

    def is_there(self) -> bool:
        """Whether something stands at the ledger's place; if not, an open connection may be all that is left of it."""
        return files.identity(self.path)[0] is not None

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A connection that only reads, for one answer; raises Unavailable."""
        try:
            with self._reading.connect() as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            self.is_suspect |= is_breakage(error)
            raise Unavailable(
                f"The ledger cannot be read ({error.orig}). Check the state folder: orgate db",
                code="ledger_unavailable",
            ) from None

    def backup(self, place: Path) -> None:
        """A whole copy of the ledger as of now in a file; the gateway goes on meanwhile. Raises Unavailable."""
        with _copying(place):
            files.copy(self.path, place)

    def backups(self) -> list[Path]:
        """The copies that were made by themselves, oldest first."""
        return files.backups(self.path)

    def back_up_daily(self, now: float) -> None:
        """Make today's copy if there is none, and remove those that are too old; raises Unavailable."""
        with _copying(self.path.parent):
            files.back_up_daily(self.path, now)

    def faults(self) -> str | None:
        """What a thorough look at the file finds wrong; None when it is whole."""
        try:
            with self._reading.connect() as connection:
                found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
        except DBAPIError as error:
            self.is_suspect |= is_breakage(error)
            return str(error.orig)
        self.is_suspect |= found != "ok"
        return None if found == "ok" else found

    def size(self) -> int:
        """Bytes on disk, with what has not been merged into the main file yet."""
        return files.size(self.path)

    @property
    def _kept(self) -> Path:
        """Where all of the ledger is written when its own file was removed, for as long as it takes."""
        return self.path.with_name(f".{self.path.name}.kept")

    def _take_kept(self) -> None:
        if not self._kept.exists():
            return
        if files.is_whole(self._kept):
            files.remove_companions(self.path)
            files.install(self._kept, self.path)
            self._known = None
        else:
            self._kept.unlink(missing_ok=True)

    def _open(self) -> Connection:
        connection = self._writing.connect()
        try:
            with connection.begin():
                migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _why_lost(self) -> str | None:
        """Why the file cannot be the ledger that was kept here; None when it can."""
        was_here = self._known is not None or files.was_here(self.path)
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return _REMOVED if was_here else None
        try:
            with self._reading.connect() as connection:
                if version_of(connection) == 0 and was_here:
                    return _EMPTIED
                if size > _CHECKED_UP_TO and not self.is_suspect:
                    return None
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        except OperationalError:
            # Locked, unreadable, no room: whatever it is, the file is not known to be broken.
            return None
        except (DatabaseError, NoResultFound, ValueError):
            return _DAMAGED
        return None if found == "ok" else _DAMAGED

    def _restore(self, why: str) -> None:
        """Set aside what is left of the ledger and put the last good copy, if there is one, in its place: locked."""
        copy = files.newest_whole_backup(self.path)
        draft = self.path.with_name(f".{self.path.name}.restored")
        draft.unlink(missing_ok=True)
        if copy is not None:
            files.duplicate(copy, draft)
        # It is locked before it is the ledger: whatever interrupts this, no budget is open again.
        with _engine(draft, writes=True).connect() as connection:
            with connection.begin():
                migrate(connection)
            _lock(connection, why)
        files.set_aside(self.path)
        files.install(draft, self.path)
        self._known = None
        self._events.warn("ledger.restored", why=why, backup=copy.name if copy else None)

    def _lock_exchanged(self, connection: Connection) -> None:
        try:
            _lock(connection, _EXCHANGED)
        except BaseException:
            connection.close()
            raise
        self._events.warn("ledger.exchanged", path=str(self.path))

    def _write_out(self, connection: Connection, place: Path) -> None:
        """All that a connection has, whatever became of its file."""
        draft = place.with_name(f"{place.name}.draft")
        draft.unlink(missing_ok=True)
        try:
            driver_of(connection).execute("VACUUM INTO ?", (str(draft),))
            files.install(draft, place)
        except sqlite3.Error as error:
            raise OSError(None, str(error)) from error
        finally:
            draft.unlink(missing_ok=True)


def is_breakage(error: BaseException) -> bool:
    """Whether this says that the file itself is broken, not that it cannot be used at present."""
    # sqlite3 says "not a database" and "malformed" with its plain DatabaseError.
    return isinstance(error, DBAPIError) and type(error.orig) is sqlite3.DatabaseError


def _lock(connection: Connection, why: str) -> None:
    """What was spent may be missing here: apps with a budget wait for the owner's word."""
    with connection.begin():
        connection.execute(statements.replaced(facts, "name"), {"name": LOCKED, "value": why})


@contextmanager
def _copying(place: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unavailable(f"The ledger cannot be copied to {place} ({why}).", code="backup_failed") from None


def _engine(path: Path, *, writes: bool) -> Engine:
    pragmas = ("journal_mode = WAL", "synchronous = NORMAL", "journal_size_limit = 16777216") if writes else ()
    connect = partial(files.connect, path, "trusted_schema = OFF", "mmap_size = 0", *pragmas, writes=writes)
    engine = create_engine("sqlite://", poolclass=NullPool, creator=connect)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not driver_of(connection).in_transaction:
            execute(connection, "BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
