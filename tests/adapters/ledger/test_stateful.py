from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test

from app.adapters.ledger import database
from app.core.budget import PERIODS, Budget, begin_of
from app.core.errors import BudgetExceeded
from app.core.ledger import OPEN, Closing, Source, State, Sums
from app.core.meter import Usage
from app.core.money import dollars
from tests.adapters.ledger.ledgers import DAY, HOUR, KEY_ID, OTHER_KEY_ID, crash, hold, opened, rows
from tests.services.fakes import FakeClock, Recorder

_LONG = bool(os.environ.get("ORGATE_LONG"))
_SEQUENCES = 40_000 if _LONG else 2_000
_STEPS = 15

_APPS = ("editor", "chat")
_MODELS = ("a/one", "b/two")
_BY = ("app", "model", "day")
_KEYS = (KEY_ID, OTHER_KEY_ID)
_DAY_MS = 86_400_000
_WRITTEN_MS = 1_767_225_600_000
_MOVES = (0.001, 60, HOUR, 5 * HOUR, DAY, 3 * DAY, 40 * DAY, 365 * DAY)

amounts = st.one_of(st.integers(0, 30), st.sampled_from([10**9, 10**12]))
budgets = st.lists(st.builds(Budget, st.sampled_from(PERIODS), st.integers(0, 60)), max_size=2)
apps = st.sampled_from(_APPS)


@dataclass
class Kept:
    """One attempt as the oracle knows it."""

    app: str
    model: str
    key_id: str
    number: int
    amount: int
    at: int
    state: State = State.RESERVED
    cost: int = 0
    tokens: int = 0
    is_estimate: bool = False
    has_row: bool = True

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass
class Oracle:
    """A plain dictionary, and the rules of the ledger in as few words as possible."""

    attempts: dict[str, Kept] = field(default_factory=dict)
    last: int | None = None

    def moment(self, now: int) -> int:
        """When an attempt of now is sent: never before the last one, unless the clock had been far ahead."""
        with_rows = [each.at for each in self.attempts.values() if each.has_row]
        if self.last is None:
            self.last = max(with_rows, default=0)
        if self.last - now > _DAY_MS and now > _WRITTEN_MS:
            ahead = [at for at in with_rows if at > now]
            if not ahead or min(ahead) - now > _DAY_MS:
                for each in self.attempts.values():
                    each.at = min(each.at, now)
                self.last = now
        self.last = max(self.last, now)
        return self.last

    def taken(self, app: str, since: float) -> tuple[int, int]:
        mine = [each for each in self.attempts.values() if each.app == app and each.at >= since * 1000]
        return sum(each.cost for each in mine), sum(each.amount for each in mine if each.is_open)

    def refusal(self, app: str, amount: int, wanted: Sequence[Budget], at: int) -> str | None:
        """What is left of the first budget that the amount does not fit."""
        for budget in wanted:
            left = budget.limit - sum(self.taken(app, begin_of(budget.period, at / 1000)))
            if 0 < amount > left:
                return dollars(max(0, left))
        return None

    def close(self, closing: Closing) -> None:
        kept = self.attempts[closing.attempt_id]
        if not kept.is_open:
            return
        kept.state = closing.state
        if closing.usage is not None:
            kept.tokens = closing.usage.prompt_tokens or 0
        if closing.state is not State.AMBIGUOUS:
            kept.cost = closing.cost or 0
            kept.is_estimate = closing.source is Source.ESTIMATE

    def crashed(self) -> None:
        self.last = None
        for each in self.attempts.values():
            if each.state is State.RESERVED:
                each.state = State.AMBIGUOUS

    def sums(self, app: str | None = None) -> Sums:
        mine = [each for each in self.attempts.values() if app in (None, each.app)]
        return Sums(
            settled=sum(each.cost for each in mine),
            held=sum(each.amount for each in mine if each.is_open),
            unsettled=sum(each.amount for each in mine if each.state is State.AMBIGUOUS),
            outside=0,
        )

    def usage(self, by: str, since: float = 0, until: float = 1e11) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for each in self.attempts.values():
            if not each.is_open and since <= each.at / 1000 // HOUR * HOUR < until:
                day = datetime.fromtimestamp(each.at / 1000, UTC).strftime("%Y-%m-%d")
                key = day if by == "day" else str(getattr(each, by))
                row = (int(each.number == 1), 1, each.tokens, each.cost, each.cost if each.is_estimate else 0)
                found[key] = tuple(map(sum, zip(row, found.get(key, (0,) * 5), strict=True)))
        return found

    def told(self) -> dict[str, tuple[object, ...]]:
        return {
            name: (each.state.value, each.cost, each.at, each.tokens)
            for name, each in self.attempts.items()
            if each.has_row
        }


class Place:
    """Where all sequences have their ledger, one after the other: in memory, if there is room."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self._empty = folder / "empty.db"
        opened(self._empty).stop()

    def clear(self) -> Path:
        """An empty ledger: making its tables takes longer than most sequences."""
        for each in self.path.parent.glob(f"{self.path.name}*"):
            each.unlink()
        shutil.copyfile(self._empty, self.path)
        return self.path


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The engines, which know how to say each statement, are made once for all ledgers at the same place."""
    monkeypatch.setattr(database, "_engine", cache(database._engine))
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="orgate-", dir=memory if memory.is_dir() else None) as folder:
        yield Place(Path(folder))


class LedgerMachine(RuleBasedStateMachine):
    """The ledger on its file, beside the oracle."""

    names = Bundle("names")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.path = place.clear()
        self.clock = FakeClock()
        self.oracle = Oracle()
        self.untold: list[Closing] = []
        """Closings that may not be on the disk yet."""
        self.number = itertools.count(1)
        self.ledger = opened(self.path, self.clock, Recorder())

    def teardown(self) -> None:
        self.agrees(_APPS[0], "day")
        for app, period in itertools.product(_APPS, PERIODS):
            since = begin_of(period, self.clock.time)
            assert self.oracle.taken(app, since) == self.ledger.taken(app, since)
        for by in _BY:
            self.agrees_on_usage(by)
        for key_id in _KEYS:
            mine = sum(each.cost for each in self.oracle.attempts.values() if each.key_id == key_id)
            assert (mine, self.oracle.sums().settled) == self.ledger.settled_for(key_id)
        self.ledger.stop()

    def all_told(self) -> None:
        self.oracle, self.untold = self.after_all_told(), []

    def after_all_told(self) -> Oracle:
        if not self.untold:
            return self.oracle
        oracle = deepcopy(self.oracle)
        for closing in self.untold:
            oracle.close(closing)
        return oracle

    @rule(
        target=names,
        app=apps,
        amount=amounts,
        wanted=budgets,
        model=st.sampled_from(_MODELS),
        key_id=st.sampled_from(_KEYS),
        which=st.integers(1, 3),
    )
    def reserve(self, app: str, amount: int, wanted: list[Budget], model: str, key_id: str, which: int) -> Any:
        """A hold is granted exactly when it fits after all that was closed, which need not be on the disk for that."""
        at = self.oracle.moment(int(self.clock.time * 1000))
        refusal = self.after_all_told().refusal(app, amount, wanted, at)
        name = f"{next(self.number)}:{which}"
        left = None
        try:
            self.ledger.reserve(hold(name, amount, app=app, model=model, key_id=key_id, number=which), wanted)
        except BudgetExceeded as error:
            left = (error.details or {})["left"]
        assert refusal == left
        if left is not None:
            return multiple()
        self.oracle.attempts[name] = Kept(app, model, key_id, which, amount, at)
        return name

    @rule(name=names)
    def send(self, name: str) -> None:
        self.ledger.identify(name, f"gen-{name}")

    def close(self, closing: Closing) -> None:
        self.ledger.close(closing)
        self.untold.append(closing)

    @rule(name=names, cost=amounts, tokens=st.none() | st.integers(0, 10**9))
    def settle(self, name: str, cost: int, tokens: int | None) -> None:
        usage = None if tokens is None else Usage(prompt_tokens=tokens, cost=cost)
        self.close(Closing(name, State.SETTLED, cost=cost, source=Source.ANSWER, usage=usage))

    @rule(name=names)
    def release(self, name: str) -> None:
        self.close(Closing(name, State.RELEASED, cost=0))

    @rule(name=names, tokens=st.none() | st.integers(0, 10**9))
    def doubt(self, name: str, tokens: int | None) -> None:
        usage = None if tokens is None else Usage(prompt_tokens=tokens)
        self.close(Closing(name, State.AMBIGUOUS, usage=usage, generation_id=f"gen-{name}"))

    @rule(name=consumes(names), cost=amounts, source=st.sampled_from([Source.GENERATION, Source.KEY]))
    def settle_late(self, name: str, cost: int, source: Source) -> None:
        self.close(Closing(name, State.AMBIGUOUS))
        self.close(Closing(name, State.SETTLED, cost=cost, source=source))

    @rule(name=consumes(names))
    def write_off(self, name: str) -> None:
        amount = self.oracle.attempts[name].amount
        self.close(Closing(name, State.WRITTEN_OFF, cost=amount, source=Source.ESTIMATE))

    @rule(move=st.sampled_from(_MOVES), back=st.booleans())
    def move_clock(self, move: float, back: bool) -> None:
        self.clock.time += -move if back else move

    @rule(age=st.sampled_from([DAY, 30 * DAY]))
    def trim(self, age: float) -> None:
        """What is old and over loses its row, and nothing else."""
        self.all_told()
        before = self.clock.time - age
        old = [each for each in self.oracle.attempts.values() if each.has_row and not each.is_open]
        old = [each for each in old if each.at < int(before * 1000)]
        for each in old:
            each.has_row = False

        assert len(old) == self.ledger.trim(before)

    @rule()
    def sum_up(self) -> None:
        """Days that are over are added up, which no figure shows."""
        self.ledger.sum_up()
        self.all_told()

    @rule()
    def restart(self) -> None:
        self.ledger.stop()
        self.ledger = opened(self.path, self.clock, Recorder())
        self.all_told()
        self.oracle.crashed()

    @rule()
    def crash(self) -> None:
        """The process dies: of what was told and not waited for, the first so many are on record, and no other."""
        let_go = crash(self.ledger)
        before = self.oracle
        self.ledger = opened(self.path, self.clock, Recorder())
        let_go()
        found = self.on_record()
        for upto in range(len(self.untold) + 1):
            self.oracle = deepcopy(before)
            for closing in self.untold[:upto]:
                self.oracle.close(closing)
            self.oracle.crashed()
            if found == self.oracle.told():
                break
        assert self.oracle.told() == found
        self.untold = []

    def on_record(self) -> dict[str, tuple[object, ...]]:
        return {
            row["id"]: (row["state"], row["cost"] or 0, row["at"], row["prompt_tokens"] or 0) for row in rows(self.path)
        }

    @rule(by=st.sampled_from(_BY), since=st.integers(-80, 10), hours=st.integers(0, 100))
    def agrees_on_a_stretch(self, by: str, since: int, hours: int) -> None:
        """A report of some hours, whole days among them or not, holds what was sent in them."""
        self.ledger.flush()
        self.all_told()
        begin = (self.clock.time // HOUR + since) * HOUR
        report = self.ledger.usage(by, begin, begin + hours * HOUR)
        assert self.oracle.usage(by, begin, begin + hours * HOUR) == {
            row.key: (row.calls, row.attempts, row.prompt_tokens, row.cost, row.estimated) for row in report.rows
        }

    @rule(app=apps, period=st.sampled_from(PERIODS))
    def agrees(self, app: str, period: str) -> None:
        """Every figure is the oracle's, to the nano-dollar."""
        self.ledger.flush()
        self.all_told()
        oracle, since = self.oracle, begin_of(period, self.clock.time)
        assert oracle.told() == self.on_record()
        assert (oracle.sums(app), oracle.taken(app, since)) == (self.ledger.sums(app), self.ledger.taken(app, since))
        held = {name: (each.amount, each.state) for name, each in oracle.attempts.items() if each.is_open}
        assert held == {each.attempt_id: (each.amount, each.state) for each in self.ledger.open()}

    @rule(by=st.sampled_from(_BY))
    def agrees_on_usage(self, by: str) -> None:
        """A report holds every attempt that is over, whatever became of its row."""
        self.ledger.flush()
        self.all_told()
        report = self.ledger.usage(by, 0, 1e11)
        assert self.oracle.usage(by) == {
            row.key: (row.calls, row.attempts, row.prompt_tokens, row.cost, row.estimated) for row in report.rows
        }
        assert self.oracle.sums() == report.sums


@pytest.mark.long
def test_against_a_dictionary(place: Place) -> None:
    """Through thousands of sequences of calls, crashes, restarts and clocks the ledger tells what a dictionary does."""
    run_state_machine_as_test(
        lambda: LedgerMachine(place),
        settings=settings(
            max_examples=_SEQUENCES,
            stateful_step_count=_STEPS,
            deadline=None,
            derandomize=not _LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
