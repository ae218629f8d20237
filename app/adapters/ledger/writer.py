"""One connection that writes, for all threads: whoever comes first carries out what the others wait for as well."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError, SQLAlchemyError

from app.adapters.ledger.database import Database, is_breakage
from app.adapters.ledger.prepared import write
from app.adapters.ledger.schema import NewerLedger
from app.adapters.lookout import Lookout
from app.core.errors import GatewayError, Unavailable
from app.core.ports import Events

_AGAIN_S = 1.0
_GATHER_S = 0.02
"""So long what nobody waits for is gathered, to be written together."""

_LATER_S = 0.25

Work = Callable[[Connection], Any]
"""Something to be written; it may be carried out again after a transaction was undone."""


class Job:
    """Something to be written, and whether it was."""

    def __init__(self, work: Work, *, patient: bool, overtakes: bool = False, is_single: bool = False) -> None:
        self.work = work
        self.patient = patient
        """It is kept and tried again for as long as the database cannot be written."""
        self.overtakes = overtakes
        """It need not come after the patient ones, but for those that come first."""
        self.is_single = is_single
        """It writes by one statement, which is a transaction by itself."""
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None


class Writer:
    """
    Carries jobs out, many in one transaction (group commit): those that wait to be written in the order they came,
    then those that somebody waits for.

    A job may raise a GatewayError before it has written anything; then only that job fails.
    """

    def __init__(
        self,
        database: Database,
        renewed: Callable[[Connection | None], None],
        gathered: Callable[[Connection], None],
        events: Events,
    ) -> None:
        """
        `renewed` is told each new connection, and None when a transaction was undone.

        `gathered` is called in each transaction before what somebody waits for, and at its end: patient jobs may leave
        it to this to write what they have in common.
        """
        self._database = database
        self._renewed = renewed
        self._gathered = gathered
        self._events = events
        self._connection: Connection | None = None
        self._turn = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._urgent: deque[Job] = deque()
        self._first: set[Job] = set()
        self._later: tuple[float, Callable[[], Work | None]] | None = None
        # Where the system gives no thread what waits is written by whoever comes next.
        self._lookout = Lookout("orgate-ledger", self._look, lambda: _AGAIN_S if self.trouble else _GATHER_S)
        self._failed_at = float("-inf")
        self.trouble: str | None = None
        """Why nothing could be written at the last try."""

    def open(self) -> None:
        """Have the database at hand; raises NewerLedger and Unavailable."""
        with self._turn:
            try:
                self._ready()
            except NewerLedger:
                raise
            except Exception as error:
                self._in_trouble(error)
                raise _unavailable(_why(error)) from None

    def now(self, work: Work, *, overtakes: bool = False, is_single: bool = False) -> Any:  # what the work returns
        """
        Have it committed before this returns; raises what the work raised, or Unavailable.

        It comes after all that was to be written soon; if it overtakes, only after what of that comes first. What
        writes by a single statement needs no others around it where it is written alone.
        """
        if is_single and overtakes and self._turn.acquire(blocking=False):
            try:
                if self._has_time():
                    return self._by_itself(work)
            finally:
                self._turn.release()
        job = Job(work, patient=False, overtakes=overtakes, is_single=is_single)
        asked_at = time.monotonic()
        self._urgent.append(job)
        with self._turn:
            while not job.done:
                if self.trouble is not None and self._failed_at > asked_at:
                    # It failed while this one waited. Older jobs are kept; this one is not.
                    self._urgent.remove(job)
                    raise _unavailable(self.trouble)
                self._carry_out(patient=False)
            if self._lookout.is_stopped:
                self._drop()
        if job.error is not None:
            raise job.error
        return job.value

    def settle(self) -> None:
        """Have what waits to be written, or is just being written, committed, if it can be."""
        if self.trouble is None:
            # Also where nothing waits: whoever has the turn may have taken it, and not committed it yet.
            with self._turn:
                if self._jobs and self.trouble is None:
                    self._carry_out()

    def soon(self, work: Work, *, comes_first: bool = False) -> None:
        """
        Have it committed soon, after what came before; it is tried until it can be.

        What comes first is overtaken by nothing.
        """
        job = Job(work, patient=True)
        if comes_first:
            self._first.add(job)
        self._jobs.append(job)
        if self._lookout.is_stopped:
            self._finish()
        else:
            self._lookout.rouse()

    def later(self, make: Callable[[], Work | None]) -> None:
        """Have what this makes, if anything, done within a moment, once however often it is asked for meanwhile."""
        if self._later is None:
            self._later = (time.monotonic() + _LATER_S, make)
            self._lookout.rouse()

    def close(self) -> None:
        """Write what is left, if it can be, and let go of the connection; what comes after this is written at once."""
        self._lookout.stop()
        self._finish()

    def _look(self) -> bool:
        """Write what waits; whether anything did, or will."""
        if self._later is not None and time.monotonic() >= self._later[0]:
            self._take_later()
        if not self._jobs:
            return self._later is not None
        asked_at = time.monotonic()
        with self._turn:
            # What failed while this waited is tried again after a pause: readers wait for their turn too.
            if self._jobs and self._failed_at < asked_at:
                self._carry_out()
        return True

    def _take_later(self) -> None:
        later, self._later = self._later, None
        work = None if later is None else later[1]()
        if work is not None:
            self._jobs.append(Job(work, patient=True))

    def _finish(self) -> None:
        with self._turn:
            self._take_later()
            if self._connection is not None:
                # A file that was removed meanwhile is put back before the connection that has it is let go of.
                self._jobs.append(Job(lambda _: None, patient=False))
            while self._jobs:
                self._carry_out()
                if self.trouble is not None:
                    break
            if self._jobs:
                self._events.warn("ledger.unwritten", rows=len(self._jobs), why=self.trouble)
            self._drop()

    def _has_time(self) -> bool:
        """Nothing has to come before what is to be written now, nor could be written with it."""
        return not (self._urgent or self._first or self.trouble or self._lookout.is_stopped)

    def _by_itself(self, work: Work) -> Any:
        """Carry out a single statement, with nothing around it; raises Unavailable."""
        try:
            connection = self._ready()
        except Exception as error:
            self._in_trouble(error)
            raise _unavailable(_why(error)) from None
        try:
            return write(connection, work, is_single=True)
        except Exception as error:
            self._renewed(None)
            if isinstance(error, GatewayError):
                raise
            if _is_lasting(error):
                self._in_trouble(error)
            else:
                self._events.broke("ledger.broke", error)
            raise _unavailable(_why(error)) from None

    def _carry_out(self, *, patient: bool = True) -> None:
        """Take the jobs that wait and write them, together if that works and else one by one."""
        urgent = _taken(self._urgent)
        # What could not be written is tried before anything else: only that shows that the trouble is over.
        patient = patient or bool(self._first or self.trouble) or not all(job.overtakes for job in urgent)
        jobs = [*(_taken(self._jobs) if patient else ()), *urgent]
        try:
            self._write(self._ready(), jobs)
        except Exception as error:
            self._in_trouble(error)
            self._put_off([job for job in jobs if not job.done], _why(error))
            return
        if self.trouble is not None:
            self.trouble = None
            self._events.note("ledger.writes_again")

    def _write(self, connection: Connection, jobs: list[Job]) -> None:
        try:
            self._transaction(connection, jobs)
        except Exception as error:
            if _is_lasting(error):
                raise
            # One of them is at fault: the others must not suffer for it.
            for job in jobs:
                self._write_alone(connection, job)

    def _write_alone(self, connection: Connection, job: Job) -> None:
        try:
            self._transaction(connection, [job])
        except Exception as error:
            if _is_lasting(error):
                raise
            self._events.broke("ledger.broke", error)
            job.error = _unavailable(_why(error))
            self._is_done(job)

    def _transaction(self, connection: Connection, jobs: list[Job]) -> None:
        try:
            is_single = len(jobs) == 1 and jobs[0].is_single
            write(connection, partial(self._work, jobs), is_single=is_single)
        except BaseException:
            self._renewed(None)
            raise
        for job in jobs:
            self._is_done(job)

    def _work(self, jobs: list[Job], connection: Connection) -> None:
        for job in jobs:
            job.error = None
            if not job.patient:
                self._gathered(connection)
            try:
                job.value = job.work(connection)
            except GatewayError as error:
                job.error = error
        self._gathered(connection)

    def _is_done(self, job: Job) -> None:
        job.done = True
        self._first.discard(job)

    def _in_trouble(self, error: Exception) -> None:
        """Nothing can be written at present: look at the files anew before the next try."""
        why = _why(error)
        if self.trouble is None:
            self._events.warn("ledger.unavailable", why=why)
        self.trouble, self._failed_at = why, time.monotonic()
        self._database.is_suspect |= is_breakage(error)
        if self._connection is not None and (self._connection.closed or self._database.is_there()):
            self._drop()

    def _put_off(self, jobs: list[Job], why: str) -> None:
        """The patient jobs go back to where they stood; the others are told."""
        for job in reversed(jobs):
            if job.patient:
                self._jobs.appendleft(job)
            else:
                job.error, job.done = _unavailable(why), True

    def _ready(self) -> Connection:
        before = self._connection
        self._connection = self._database.connect() if before is None else self._database.check(before)
        if self._connection is not before:
            self._renewed(self._connection)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.close()
            except (SQLAlchemyError, OSError):
                connection.invalidate()


def _taken(jobs: deque[Job]) -> list[Job]:
    return [jobs.popleft() for _ in range(len(jobs))]


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"The ledger cannot be written ({why}), so nothing is sent. Check the state folder: orgate db",
        code="ledger_unavailable",
        retry_after_s=5,
    )


def _is_lasting(error: Exception) -> bool:
    """The database is at fault (full, locked, read-only, broken, gone), not what was to be written."""
    return isinstance(error, (OSError, OperationalError, InvalidRequestError)) or is_breakage(error)


def _why(error: Exception) -> str:
    """The reason without statement and parameters."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return getattr(found, "strerror", None) or str(found) or type(found).__name__
