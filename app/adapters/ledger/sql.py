"""The Ledger port on SQLAlchemy Core."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select

from app.adapters.ledger import days, statements
from app.adapters.ledger.database import LOCKED, Database
from app.adapters.ledger.reading import Reading
from app.adapters.ledger.schema import attempts, checkpoints, facts
from app.adapters.ledger.tally import Ended, Tally
from app.adapters.ledger.timeline import Timeline
from app.adapters.ledger.writer import Work, Writer
from app.core import budget as budget_rules
from app.core.budget import Budget
from app.core.errors import BudgetExceeded, Unavailable
from app.core.ledger import OPEN, Checkpoint, Closing, Hold, LedgerState, Open, Source, State, Sums, UsageReport
from app.core.ports import Clock, Events

_TRIMMED_AT_ONCE = 500
_RESERVED = State.RESERVED.value


class SqlLedger:
    """
    The ledger in one file.

    `reserve` returns when its row is committed. What became of an attempt is written soon after, together with what
    else has ended meanwhile; whoever reads here sees it.
    """

    def __init__(self, path: Path, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._database = Database(path, events)
        self._reading = Reading(self._database)
        self._timeline = Timeline(clock, events)
        self._tally = Tally()
        self._writer = Writer(self._database, self._renewed, self._tally.write, events)
        self._ids: dict[str, str] = {}
        self._ids_lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._locked: str | None = None

    def open_for_use(self) -> int:
        """
        Make the ledger ready; how many attempts a crash has left without an end, which are ambiguous from now on.

        Raises Unavailable when the file cannot be used, and NewerLedger.
        """
        try:
            return self._doubt_all()
        except Unavailable:
            if not self._database.is_suspect:
                raise
            # What was met is damage, and the next look restores the last copy.
            return self._doubt_all()

    def reserve(self, hold: Hold, budgets: Sequence[Budget]) -> None:
        """Commit the hold unless it does not fit; raises BudgetExceeded or Unavailable."""
        work = partial(self._reserve, hold, budgets)
        try:
            # Closings that wait can only make room, so what fits before them fits after them.
            self._writer.now(work, overtakes=True, is_single=not budgets)
        except BudgetExceeded:
            self._writer.now(work)
        self._held[hold.attempt_id] = hold.amount

    def identify(self, attempt_id: str, generation_id: str) -> None:
        """OpenRouter's id of an attempt under way, for the case of a crash; short ones never need it."""
        with self._ids_lock:
            self._ids[attempt_id] = generation_id
        self._writer.later(self._ids_to_write)

    def close(self, closing: Closing) -> None:
        """What became of an attempt, written soon."""
        if self._ids:
            with self._ids_lock:
                identified = self._ids.pop(closing.attempt_id, None)
            closing = closing if closing.generation_id else replace(closing, generation_id=identified)
        known = self._held.get if closing.state is State.AMBIGUOUS else self._held.pop
        held = known(closing.attempt_id, None)
        is_dearer = held is None or (closing.cost or 0) > held
        self._writer.soon(partial(self._close, closing), comes_first=is_dearer)

    def flush(self) -> None:
        """Return when everything so far is written down; raises Unavailable."""
        self._writer.now(lambda _: None)

    def open(self) -> list[Open]:
        """Every attempt that is reserved or ambiguous, oldest first."""
        return self._settled.open()

    def sums(self, app: str | None = None) -> Sums:
        """Everything ever, of one app or of all."""
        return self._settled.sums(app)

    def taken(self, app: str, since: float) -> tuple[int, int]:
        """What this app has spent since a midnight of UTC, and what its open holds of that time amount to."""
        return self._settled.taken(app, int(since * 1000))

    def spent_between(self, since: float, until: float) -> int:
        """What attempts sent in this time have cost."""
        return self._settled.spent_between(since, until)

    def began_at(self) -> float | None:
        """When the first attempt was sent."""
        return self._reading.began_at()

    def usage(self, by: str, since: float, until: float) -> UsageReport:
        """Spending by "day", "app", "model" or "agent"; raises BadRequest for another word."""
        return self._settled.usage(by, since, until)

    def costs(self) -> list[tuple[str, str, int]]:
        """What every app has ever spent on every model."""
        return self._settled.costs()

    def settled_for(self, key_id: str) -> tuple[int, int]:
        """What has ever been settled for one key, and for all keys."""
        return self._settled.settled_for(key_id)

    def checkpoint(self, key_id: str) -> Checkpoint | None:
        """The last one of this key."""
        return self._reading.checkpoint(key_id)

    def reconciled(self, key_id: str, checkpoint: Checkpoint, spent_outside: int, source: str) -> None:
        """A new checkpoint of this key, and what others spent since the last one."""
        self._writer.now(partial(_reconcile, key_id, checkpoint, spent_outside, source))

    def fact(self, name: str) -> str | None:
        """A fact kept for the gateway's next start."""
        return self._reading.fact(name)

    def keep_fact(self, name: str, value: str | None) -> None:
        """Keep it soon; None forgets it."""
        self._writer.soon(partial(_keep_fact, name, value))

    def accept(self) -> None:
        """The owner has seen that the ledger was restored or exchanged: budgets count again from what it holds."""
        self._writer.now(partial(_keep_fact, LOCKED, None))
        self._locked = None

    def trim(self, before: float) -> int:
        """Remove the rows of attempts that were closed before this moment; the sums stay. How many those were."""
        removed = 0
        # In portions, between which calls get their turn.
        while portion := self._writer.now(partial(_trim, int(before * 1000))):
            removed += portion
        return removed

    def sum_up(self) -> None:
        """Add up the days that are over, a few at a time, between which calls get their turn."""
        while self._writer.now(days.sum_up):
            pass

    def backup(self, place: Path) -> None:
        """A whole copy in a new file."""
        self._database.backup(place)

    def back_up_daily(self) -> None:
        """Today's copy, if there is none yet."""
        self._database.back_up_daily(self._clock.now())

    def faults(self) -> str | None:
        """What a thorough look finds wrong with the file."""
        return self._database.faults()

    def state(self) -> LedgerState:
        """How the ledger is."""
        count, oldest = self._reading.count()
        backups = self._database.backups()
        return LedgerState(
            path=str(self._database.path),
            size_bytes=self._database.size(),
            attempts=count,
            oldest_at=oldest,
            trouble=self._writer.trouble,
            locked=self._reading.fact(LOCKED),
            last_backup=backups[-1].name if backups else None,
        )

    def stop(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()

    @property
    def _settled(self) -> Reading:
        """What is read, with all that has ended until now."""
        self._writer.settle()
        return self._reading

    def _doubt_all(self) -> int:
        self._writer.open()
        crashed: int = self._writer.now(lambda connection: connection.execute(statements.doubt_all).rowcount)
        return crashed

    def _renewed(self, connection: Connection | None) -> None:
        self._timeline.forget()
        self._tally.forget()
        if connection is not None:
            with connection.begin():
                self._locked = connection.execute(statements.fact, {"name_": LOCKED}).scalar_one_or_none()

    def _reserve(self, hold: Hold, budgets: Sequence[Budget], connection: Connection) -> None:
        at = self._timeline.moment(connection)
        if budgets:
            self._check(hold, budgets, at, connection)
        statements.reserve.execute(connection, _hold_row(hold, at))

    def _check(self, hold: Hold, budgets: Sequence[Budget], at: int, connection: Connection) -> None:
        if self._locked is not None:
            raise Unavailable(
                f"What apps have spent is in doubt, since {self._locked}; those with a budget wait until you have "
                "looked at it (orgate usage) and said: orgate db accept",
                code="ledger_locked",
            )
        for budget in budgets:
            settled, held = statements.taken(connection, hold.app, int(budget.since(at / 1000) * 1000))
            budget_rules.check(budget, settled=settled, held=held, wanted=hold.amount, now=at / 1000)

    def _ids_to_write(self) -> Work | None:
        with self._ids_lock:
            ids, self._ids = self._ids, {}
        return partial(_identify, ids) if ids else None

    def _close(self, closing: Closing, connection: Connection) -> None:
        rows = statements.close.execute(connection, _closing_row(closing, int(self._clock.now() * 1000))).fetchall()
        # No row: it was closed before, and once is enough.
        if not rows or closing.state is State.AMBIGUOUS:
            return
        self._tally.add(Ended(*rows[0]), closing.cost or 0, estimated=closing.source is Source.ESTIMATE)


def _hold_row(hold: Hold, at: int) -> dict[str, Any]:
    return {
        "id": hold.attempt_id,
        "call_id": hold.call_id,
        "number": hold.number,
        "at": at,
        "app": hold.app,
        "agent": hold.agent,
        "endpoint": hold.endpoint,
        "asked": _text(hold.asked),
        "model": _text(hold.model),
        "key_id": hold.key_id,
        # The driver looks for somebody who knows what to do with what is not quite an int.
        "stream": int(hold.stream),
        "state": _RESERVED,
        "hold": hold.amount,
        "priced": int(hold.priced),
    }


def _closing_row(closing: Closing, now: int) -> dict[str, Any]:
    usage = closing.usage
    first, took = closing.first_content_s, closing.duration_s
    return {
        "attempt_id": closing.attempt_id,
        "new_state": closing.state.value,
        "new_cost": closing.cost,
        "new_source": closing.source.value if closing.source else None,
        "new_served_model": _text(closing.served_model),
        "new_provider": _text(closing.provider),
        "new_generation_id": _text(closing.generation_id),
        "new_is_byok": usage.is_byok if usage else None,
        "new_prompt_tokens": usage.prompt_tokens if usage else None,
        "new_completion_tokens": usage.completion_tokens if usage else None,
        "new_cached_tokens": usage.cached_tokens if usage else None,
        "new_reasoning_tokens": usage.reasoning_tokens if usage else None,
        "new_status": closing.status,
        "new_outcome": closing.outcome[:64] if closing.outcome else None,
        "new_first_content_ms": None if first is None else round(first * 1000),
        "new_duration_ms": None if took is None else round(took * 1000),
        "new_closed_at": None if closing.state is State.AMBIGUOUS else now,
    }


def _identify(ids: Mapping[str, str], connection: Connection) -> None:
    connection.execute(
        statements.identify, [{"attempt_id": one, "new_generation_id": _text(name)} for one, name in ids.items()]
    )


def _keep_fact(name: str, value: str | None, connection: Connection) -> None:
    if value is None:
        connection.execute(statements.forget_fact, {"name_": name})
    else:
        connection.execute(statements.replaced(facts, "name"), {"name": name, "value": value})


def _reconcile(key_id: str, found: Checkpoint, spent: int, source: str, connection: Connection) -> None:
    at = int(found.at * 1000)
    earlier = connection.execute(statements.checkpoint_at, {"key_id": key_id}).scalar_one_or_none()
    row = {
        "key_id": key_id,
        "at": at,
        "key_usage": found.key_usage,
        "account_usage": found.account_usage,
        "ledger_key": found.ledger_key,
        "ledger_all": found.ledger_all,
    }
    connection.execute(statements.replaced(checkpoints, "key_id"), row)
    if spent:
        connection.execute(
            statements.note_outside,
            {"key_id": key_id, "since": earlier or at, "at": at, "cost": spent, "source": source},
        )


def _trim(before_ms: int, connection: Connection) -> int:
    done = attempts.c.state.not_in([state.value for state in OPEN])
    old = select(attempts.c.id).where(attempts.c.at < before_ms, done).limit(_TRIMMED_AT_ONCE)
    return connection.execute(delete(attempts).where(attempts.c.id.in_(old))).rowcount


def _text(value: str | None) -> str | None:
    """What a foreign text can be kept as: halves of a surrogate pair and NUL cannot."""
    if value is None or (value.isascii() and value.isprintable() and len(value) <= 256):
        return value
    return value[:256].encode("utf-8", "replace").decode("utf-8").replace("\0", "")
