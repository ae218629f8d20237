from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.core.balance import Figures, KeyFigures
from app.core.errors import GatewayError
from app.core.ledger import Checkpoint, Open, State
from app.core.meter import Reading
from app.core.money import NANO
from app.services import reconcile as reconcile_module
from app.services.reconcile import Reconciled, Reconciler
from tests.adapters.ledger.ledgers import DAY, HOUR, KEY_ID, OTHER_KEY_ID, ambiguous, hold, rows, settled
from tests.services.fakes import FakeClock
from tests.services.tills import CHEAP, DOWN, SOON_S, Till, generation, make_call

SETTLE_AFTER_S = 60.0
CENT = NANO // 100
DOLLAR = NANO


class WatchedClock(FakeClock):
    """Tells how often the reconciler's own thread has looked at it."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = threading.Semaphore(0)

    def monotonic(self) -> float:
        if threading.current_thread().name == "orgate-reconcile":
            self._looks.release()
        return super().monotonic()

    def looked_at(self, times: int = 20) -> None:
        """Return when the thread has looked so often from now on."""
        while self._looks.acquire(blocking=False):
            pass
        for _ in range(times):
            assert self._looks.acquire(timeout=SOON_S)


class FakeCredits:
    """OpenRouter's own totals, as a test has them."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.key: int | None = 10 * DOLLAR
        self.account: int | None = 50 * DOLLAR
        self.age_s = 0.0
        """How long ago they were asked for."""
        self.error: GatewayError | None = None
        self.asked = 0

    def told(self, *, force: bool = False) -> tuple[Figures, float]:
        assert force
        self.asked += 1
        if self.error is not None:
            raise self.error
        key = KeyFigures("k", self.key, None, None, None, False, None)
        total = None if self.account is None else 100 * DOLLAR
        return Figures("credits", total, self.account, key), self._clock.time - self.age_s

    def rise(self, amount: int) -> None:
        """So much was spent with the key."""
        assert self.key is not None
        self.key += amount
        if self.account is not None:
            self.account += amount


class Desk(Till):
    """A till with a reconciler."""

    def __init__(self, path: Path) -> None:
        self.watched = WatchedClock()
        self.credits = FakeCredits(self.watched)
        self.key_id = KEY_ID
        super().__init__(path, self.watched)

    def open(self) -> None:
        super().open()
        # What it finds out by itself, and when, is for its own tests.
        self.settler.stop()
        self.reconciler = Reconciler(
            ledger=self.ledger,
            credits=self.credits,  # type: ignore[arg-type]
            books=self.books,
            settler=self.settler,
            clock=self.clock,
            events=self.events,
            key_id=lambda: self.key_id,
            settle_after_s=SETTLE_AFTER_S,
            keep_days=90,
            begun=self.begun,
        )

    def close(self) -> None:
        self.reconciler.stop()
        super().close()

    def reconcile(self, later_s: float = SETTLE_AFTER_S) -> Reconciled:
        """Reconcile after a while."""
        self.clock.time += later_s
        return self.reconciler.reconcile()

    def answered(self, attempt_id: str, cost: int, **facts: Any) -> None:
        """An attempt that is over, and whose answer told its cost."""
        self.ledger.reserve(hold(attempt_id, cost, **facts), ())
        self.ledger.close(settled(attempt_id, cost))

    def lost(self, attempt_id: str, amount: int, generation_id: str | None = None, key_id: str = KEY_ID) -> None:
        """An attempt that is over without a word of its cost."""
        self.ledger.reserve(hold(attempt_id, amount, key_id=key_id), ())
        self.ledger.close(ambiguous(attempt_id, generation_id=generation_id))
        self.settler.add(
            Open(
                attempt_id,
                "editor",
                "author/model",
                key_id,
                generation_id,
                amount,
                State.AMBIGUOUS,
                self.clock.time,
            )
        )

    def outside(self) -> list[tuple[int, str]]:
        """What is on record as spent outside: nano-dollars, and which figure told."""
        return [(row["cost"], row["source"]) for row in rows(self.path, "outside")]

    def left(self) -> list[str]:
        """The attempts whose cost is not known."""
        self.ledger.flush()
        return [attempt.attempt_id for attempt in self.ledger.open()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "ledger.db")
    yield desk
    desk.close()


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reconciler's thread looks at the clock all the time."""
    monkeypatch.setattr(reconcile_module, "_LOOK_S", 0.001)


def test_first_time(desk: Desk) -> None:
    """The first time there is nothing to compare with: the totals are written down to be compared with later."""
    desk.answered("one:1", 3 * CENT)
    desk.answered("two:1", 4 * CENT, key_id=OTHER_KEY_ID)
    told = desk.reconcile()

    assert Reconciled(settled=0, written_off=0, open=0, outside=0, waits_s=None) == told
    assert Checkpoint(desk.clock.time, 10 * DOLLAR, 50 * DOLLAR, 3 * CENT, 7 * CENT) == desk.ledger.checkpoint(KEY_ID)
    assert [] == desk.outside()


def test_all_is_well(desk: Desk) -> None:
    """When OpenRouter's totals rose by what the ledger has, nothing was spent outside and nobody is bothered."""
    desk.reconcile()
    desk.answered("one:1", 3 * DOLLAR)
    desk.credits.rise(3 * DOLLAR)

    assert 0 == desk.reconcile().outside
    assert ([], []) == (desk.outside(), desk.events.of("reconcile.outside"))


def test_nameless(desk: Desk) -> None:
    """What the key's total rose by that nothing else explains is shared among the attempts that nobody can look up."""
    desk.reconcile()
    desk.lost("one:1", 1_000)
    desk.lost("two:1", 3_000)
    desk.answered("three:1", 700)
    desk.credits.rise(700 + 2_001)
    told = desk.reconcile()

    assert Reconciled(settled=2, written_off=0, open=0, outside=0, waits_s=None) == told
    assert [("settled", 500, "key"), ("settled", 1_501, "key")] == [desk.state("one:1"), desk.state("two:1")]
    assert [500, 1_501] == [cost for _, _, cost in desk.told]
    assert 2_701 == desk.ledger.sums().settled
    assert [] == desk.settler.nameless()


def test_nameless_and_others(desk: Desk) -> None:
    """No attempt gets more than was set aside for it: the rest was spent outside."""
    desk.reconcile()
    desk.lost("one:1", 1_000)
    desk.credits.rise(5_000)

    assert 4_000 == desk.reconcile().outside
    assert ("settled", 1_000, "key") == desk.state("one:1")
    assert [(4_000, "credits")] == desk.outside()


def test_nameless_for_nothing(desk: Desk) -> None:
    """When the key's total did not rise they cost nothing, which is no news for anybody."""
    desk.reconcile()
    desk.lost("one:1", 1_000)
    desk.reconcile()

    assert ("settled", 0, "key") == desk.state("one:1")
    assert [] == desk.told


def test_nameless_of_another_key(desk: Desk) -> None:
    """What one key spent is not laid to attempts with another."""
    desk.reconcile()
    desk.lost("one:1", 1_000, key_id=OTHER_KEY_ID)
    desk.credits.rise(400)

    assert (1, 400) == ((told := desk.reconcile()).open, told.outside)
    assert ("ambiguous", None, None) == desk.state("one:1")


def test_key_not_told(desk: Desk) -> None:
    """While OpenRouter does not tell the key's total, attempts keep their holds; the next comparison is not misled."""
    desk.reconcile()
    desk.lost("one:1", 1_000)
    desk.credits.rise(600)
    known, desk.credits.key = desk.credits.key, None
    untold = desk.reconcile()
    desk.credits.key = known
    told_again = desk.reconcile()
    desk.reconcile()

    assert (1, 1) == (untold.open, told_again.open)
    assert ("ambiguous", None, None) == desk.state("one:1")


def test_sent_before_the_first_time(desk: Desk) -> None:
    """Attempts that are part of the first totals are not settled for nothing: their holds stand until they are old."""
    desk.lost("one:1", 1_000)
    first = desk.reconcile()
    desk.lost("two:1", 1_000)
    desk.credits.rise(300)
    second = desk.reconcile()
    third = desk.reconcile(DAY)

    assert [(1, 0), (1, 0)] == [(told.open, told.outside) for told in (first, second)]
    assert ("settled", 300, "key") == desk.state("two:1")
    assert (("written_off", 1_000, "estimate"), 1) == (desk.state("one:1"), third.written_off)


@pytest.mark.parametrize(
    ("account", "source"), [(50 * DOLLAR, "credits"), (None, "key")], ids=["the account is told", "only the key is"]
)
def test_outside(desk: Desk, account: int | None, source: str) -> None:
    """What nobody here spent becomes a row and the owner is warned; the next time only what is new does."""
    desk.credits.account = account
    desk.reconcile()
    desk.answered("one:1", 1 * DOLLAR)
    desk.credits.rise(3 * DOLLAR)
    first = desk.reconcile().outside
    second = desk.reconcile().outside
    desk.credits.rise(1)
    third = desk.reconcile().outside

    assert (2 * DOLLAR, 0, 1) == (first, second, third)
    assert [(2 * DOLLAR, source), (1, source)] == desk.outside()
    assert 2 * DOLLAR + 1 == desk.ledger.sums().outside
    assert [{"cost": "2", "source": source}] == desk.events.of("reconcile.outside")


def test_other_keys_of_the_account(desk: Desk) -> None:
    """What others spend with keys of their own is seen in the account; what this gateway spent with another is not."""
    desk.reconcile()
    desk.answered("one:1", 1 * DOLLAR, key_id=OTHER_KEY_ID)
    assert desk.credits.account is not None
    desk.credits.account += 3 * DOLLAR

    assert 2 * DOLLAR == desk.reconcile().outside


def test_charged_less(desk: Desk) -> None:
    """What OpenRouter charged less than the ledger says is told as well."""
    desk.reconcile()
    desk.answered("one:1", 3 * DOLLAR)
    desk.credits.rise(2 * DOLLAR)

    assert -1 * DOLLAR == desk.reconcile().outside
    assert [{"cost": "-1", "source": "credits"}] == desk.events.of("reconcile.outside")
    assert -1 * DOLLAR == desk.ledger.sums().outside


@pytest.mark.parametrize(
    ("ours", "outside", "warned"),
    [
        (0, 5 * CENT, False),
        (0, 5 * CENT + 1, True),
        (10 * DOLLAR, 10 * CENT, False),
        (10 * DOLLAR, 10 * CENT + 1, True),
    ],
)
def test_warning(desk: Desk, ours: int, outside: int, warned: bool) -> None:
    """The owner is warned of more than $0.05 that is also over 1 % of what was spent here; the row is there anyway."""
    desk.reconcile()
    if ours:
        desk.answered("one:1", ours)
    desk.credits.rise(ours + outside)
    desk.reconcile()

    assert [(outside, "credits")] == desk.outside()
    assert warned is bool(desk.events.of("reconcile.outside"))


@pytest.mark.parametrize(
    ("key", "account"), [(0, 0), (9 * DOLLAR, 60 * DOLLAR), (20 * DOLLAR, 49 * DOLLAR)], ids=["all", "key", "account"]
)
def test_another_account(desk: Desk, key: int, account: int) -> None:
    """Totals that fell are another account's: they are where comparing begins anew, and nothing is made of them."""
    desk.reconcile()
    desk.lost("one:1", 1_000)
    desk.credits.key, desk.credits.account = key, account
    told = desk.reconcile()
    desk.credits.rise(7)
    then = desk.reconcile()

    assert (0, 1, 7) == (told.outside, told.open, then.outside)
    assert ("ambiguous", None, None) == desk.state("one:1")
    assert [(7, "credits")] == desk.outside()


def test_another_key(desk: Desk) -> None:
    """Each key has totals of its own: another one begins anew, and the first is taken up where it was left."""
    desk.reconcile()
    desk.key_id = OTHER_KEY_ID
    desk.credits.key = 1 * DOLLAR
    other = desk.reconcile().outside
    desk.key_id = KEY_ID
    desk.credits.key = 10 * DOLLAR

    assert (0, 0) == (other, desk.reconcile().outside)
    assert [] == desk.outside()


@pytest.mark.parametrize("same", [True, False], ids=["of the same account", "of another account"])
def test_back_to_the_first_key(desk: Desk, same: bool) -> None:
    """What others spent is counted once, whichever key was in use when it was found; other accounts do not matter."""
    desk.reconcile()
    desk.key_id, desk.credits.key = OTHER_KEY_ID, 1 * DOLLAR
    desk.credits.account = 50 * DOLLAR if same else 900 * DOLLAR
    desk.reconcile()
    desk.credits.account += 2 * DOLLAR
    meanwhile = desk.reconcile().outside
    desk.key_id, desk.credits.key = KEY_ID, 10 * DOLLAR
    desk.credits.account = 55 * DOLLAR
    back, then = desk.reconcile().outside, desk.reconcile().outside

    assert (2 * DOLLAR, 3 * DOLLAR if same else 5 * DOLLAR, 0) == (meanwhile, back, then)


def test_not_quiet(desk: Desk) -> None:
    """OpenRouter's totals lag: shortly after an attempt nothing is compared, and it is told how long to wait."""
    desk.reconcile()
    before = desk.ledger.checkpoint(KEY_ID)
    asked = desk.credits.asked
    running = desk.holds.take(make_call(), 1, CHEAP, KEY_ID)
    desk.credits.rise(5_000)
    under_way = desk.reconcile(600)
    desk.holds.lost(running, Reading())
    just_over = desk.reconcile(45)

    assert (None, SETTLE_AFTER_S) == (under_way.outside, under_way.waits_s)
    assert (None, 15, 1) == (just_over.outside, just_over.waits_s, just_over.open)
    assert (asked, before) == (desk.credits.asked, desk.ledger.checkpoint(KEY_ID))
    assert (1, 5_000) == ((later := desk.reconcile(15)).settled, desk.ledger.sums().settled)
    assert (0, None) == (later.outside, later.waits_s)


def test_old_figures(desk: Desk) -> None:
    """Totals that were fetched before the pause was long enough are not used, however long it is by now."""
    desk.reconcile()
    desk.holds.lost(desk.holds.take(make_call(), 1, CHEAP, KEY_ID), Reading())
    desk.credits.age_s = 1
    early = desk.reconcile(SETTLE_AFTER_S + 0.5)
    late = desk.reconcile(0.5)

    assert (None, 1) == (early.outside, early.open)
    assert (0, 0) == (late.outside, late.open)


def test_known_to_openrouter_soon(desk: Desk) -> None:
    """While OpenRouter may still tell the cost of one attempt, the totals are not laid to others."""
    desk.reconcile()
    desk.lost("one:1", 1_000, "gen-1")
    desk.lost("two:1", 1_000)
    desk.credits.rise(900)
    early = desk.reconcile()
    desk.openrouter.says["gen-1"] = generation("0.0000007")
    late = desk.reconcile(1)

    assert (None, 0, 2) == (early.outside, early.waits_s, early.open)
    assert Reconciled(settled=2, written_off=0, open=0, outside=0, waits_s=None) == late
    assert ("settled", 700, "generation") == desk.state("one:1")
    assert ("settled", 200, "key") == desk.state("two:1")


def test_id_that_stays_unknown(desk: Desk) -> None:
    """An id that OpenRouter does not know after two minutes is settled like none."""
    desk.reconcile()
    desk.lost("one:1", 1_000, "gen-1")
    desk.credits.rise(900)
    early = desk.reconcile(119)
    late = desk.reconcile(1)

    assert (1, None) == (early.open, early.outside)
    assert ("settled", 900, "key") == desk.state("one:1")
    assert (0, 0) == (late.open, late.outside)


def test_written_off(desk: Desk) -> None:
    """What nobody has told after a day counts as what was set aside for it, is marked as an estimate, and is said."""
    desk.credits.key = None
    desk.reconcile()
    desk.lost("one:1", 2 * DOLLAR)
    desk.lost("two:1", DOLLAR // 2, "gen-2")
    before = desk.reconcile(DAY - 1)
    told = desk.reconcile(2)
    again = desk.reconcile(HOUR)

    assert (0, 2) == (before.written_off, before.open)
    assert (0, 2, 0) == (told.settled, told.written_off, told.open)
    assert (0, 0) == (again.written_off, again.open)
    assert [("written_off", 2 * DOLLAR, "estimate"), ("written_off", DOLLAR // 2, "estimate")] == [
        desk.state("one:1"),
        desk.state("two:1"),
    ]
    assert [{"attempts": 2, "amount": "2.5"}] == desk.events.of("ledger.written_off")
    assert [2 * DOLLAR, DOLLAR // 2] == [cost for _, _, cost in desk.told]
    [row] = desk.ledger.usage("app", desk.clock.time - 2 * DAY, desk.clock.time + HOUR).rows
    assert [5 * DOLLAR // 2] * 3 == [row.cost, row.estimated, desk.ledger.sums().settled]


def test_not_written_off_while_under_way(desk: Desk) -> None:
    """An attempt that is under way is never given up."""
    desk.reconcile()
    desk.ledger.reserve(hold("one:1"), ())

    assert 0 == desk.reconcile(3 * DAY).written_off
    assert ("reserved", None, None) == desk.state("one:1")


def test_told_at_the_last_moment(desk: Desk) -> None:
    """What OpenRouter tells in the very round that would have written it off is settled, once."""
    desk.reconcile()
    desk.lost("one:1", DOLLAR, "gen-1")
    desk.credits.rise(DOLLAR // 4)
    desk.openrouter.says["gen-1"] = generation("0.25")
    told = desk.reconcile(DAY + 1)

    assert Reconciled(settled=1, written_off=0, open=0, outside=0, waits_s=None) == told
    assert ("settled", DOLLAR // 4, "generation") == desk.state("one:1")
    assert [DOLLAR // 4] == [cost for _, _, cost in desk.told]
    assert [] == desk.events.of("ledger.written_off")


def test_left_by_the_last_run(desk: Desk) -> None:
    """What a crash left without an end is taken up, and settled like any other."""
    desk.reconcile()
    desk.ledger.reserve(hold("one:1", 1_000), ())
    desk.close()
    desk.open()
    desk.credits.rise(800)
    told = desk.reconcile()

    assert (1, 0, 0) == (told.settled, told.open, told.outside)
    assert ("settled", 800, "key") == desk.state("one:1")


@pytest.mark.parametrize("unreachable", ["totals", "generations"])
def test_unreachable(desk: Desk, unreachable: str) -> None:
    """When OpenRouter cannot be asked that is said, and nothing changes."""
    desk.reconcile()
    before = desk.ledger.checkpoint(KEY_ID)
    desk.lost("one:1", 1_000)
    if unreachable == "totals":
        desk.credits.error = DOWN
    else:
        desk.lost("two:1", 1_000, "gen-2")
        desk.openrouter.says["gen-2"] = DOWN
    with pytest.raises(type(DOWN)):
        desk.reconcile()

    assert "one:1" in desk.left()
    assert before == desk.ledger.checkpoint(KEY_ID)
    desk.credits.error = None
    desk.openrouter.says["gen-2"] = generation(0)
    assert 0 == desk.reconcile().open


def test_at_the_same_time(desk: Desk) -> None:
    """Asked several times at once, what was spent outside is found once."""
    desk.reconcile()
    desk.lost("one:1", 1_000)
    desk.credits.rise(DOLLAR)
    desk.clock.time += SETTLE_AFTER_S
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: desk.reconciler.reconcile().outside, range(8)))

    assert [0] * 7 + [DOLLAR - 1_000] == sorted(told, key=lambda amount: amount or 0)
    assert [(DOLLAR - 1_000, "credits")] == desk.outside()
    assert [1_000] == [cost for _, _, cost in desk.told]


@pytest.mark.parametrize("error", [None, DOWN, RuntimeError("ours")], ids=["told", "unreachable", "broken"])
def test_begun(desk: Desk, error: Any) -> None:
    """The first attempt may be sent once the totals are on record, or cannot be had."""
    asked, goes_on = threading.Event(), threading.Event()

    class SlowCredits(FakeCredits):
        def told(self, *, force: bool = False) -> tuple[Figures, float]:
            asked.set()
            assert goes_on.wait(SOON_S)
            return super().told(force=force)

    desk.credits = SlowCredits(desk.watched)
    desk.credits.error = error
    desk.close()
    desk.open()
    desk.reconciler.start()
    assert asked.wait(SOON_S)
    before = desk.begun.is_set()
    goes_on.set()

    assert not before
    assert desk.begun.wait(SOON_S)
    assert (error is None) is (desk.ledger.checkpoint(KEY_ID) is not None)
    assert isinstance(error, RuntimeError) is bool(desk.events.of("reconcile.broke"))


def test_begun_before(desk: Desk) -> None:
    """With totals on record from an earlier run nobody waits for new ones; nor where nothing was started."""
    idle = desk.begun.is_set()
    desk.reconcile()
    desk.credits.error = DOWN
    desk.reconciler.start()

    assert (True, True) == (idle, desk.begun.is_set())


@pytest.mark.usefixtures("restless")
def test_by_itself(desk: Desk) -> None:
    """It is done at the start and every hour, and once only however often it is started."""
    desk.reconciler.start()
    desk.reconciler.start()
    desk.watched.looked_at()
    at_start = desk.credits.asked
    desk.clock.time += HOUR - 1
    desk.watched.looked_at()
    before = desk.credits.asked
    desk.clock.time += 1
    desk.watched.looked_at()

    assert (1, 1, 2) == (at_start, before, desk.credits.asked)
    assert 1 == sum(thread.name == "orgate-reconcile" for thread in threading.enumerate())


@pytest.mark.usefixtures("restless")
def test_as_soon_as_it_can(desk: Desk) -> None:
    """An attempt that nobody can look up is settled as soon as the totals can be trusted, without waiting an hour."""
    desk.reconciler.start()
    desk.watched.looked_at()
    desk.holds.lost(desk.holds.take(make_call(), 1, CHEAP, KEY_ID), Reading())
    desk.credits.rise(700)
    desk.clock.time += SETTLE_AFTER_S - 1
    desk.watched.looked_at()
    before = desk.left()
    desk.clock.time += 1
    desk.watched.looked_at()

    assert (["call:1"], []) == (before, desk.left())
    assert ("settled", 700, "key") == desk.state()


@pytest.mark.usefixtures("restless")
def test_beside_one_that_cannot_be(desk: Desk) -> None:
    """An attempt of which OpenRouter's totals tell nothing makes no other wait."""
    desk.reconcile()
    desk.lost("two:1", 1_000, key_id=OTHER_KEY_ID)
    desk.reconciler.start()
    desk.watched.looked_at()
    desk.holds.lost(desk.holds.take(make_call(), 1, CHEAP, KEY_ID), Reading())
    desk.credits.rise(700)
    desk.clock.time += SETTLE_AFTER_S
    desk.watched.looked_at(100)

    assert ["two:1"] == desk.left()
    assert ("settled", 700, "key") == desk.state()


@pytest.mark.usefixtures("restless")
def test_lost_meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that is lost just when OpenRouter's totals have been compared waits no longer than any other."""
    desk.reconcile()
    lost = threading.Event()

    def warn(event: str, **facts: object) -> None:
        if not lost.is_set():
            desk.lost("one:1", 1_000)
            lost.set()

    monkeypatch.setattr(desk.events, "warn", warn)
    desk.credits.rise(DOLLAR)
    desk.clock.time += SETTLE_AFTER_S
    desk.reconciler.start()
    assert lost.wait(SOON_S)
    desk.credits.rise(700)
    desk.clock.time += SETTLE_AFTER_S
    desk.watched.looked_at(100)

    assert [] == desk.left()


@pytest.mark.usefixtures("restless")
def test_owed(desk: Desk) -> None:
    """A comparison that came too early, as after every restart, is made as soon as it can be, not an hour later."""
    desk.reconcile()
    desk.answered("one:1", DOLLAR)
    desk.credits.rise(DOLLAR + CENT)
    desk.close()
    desk.open()
    desk.reconciler.start()
    desk.watched.looked_at()
    too_early = desk.credits.asked
    desk.clock.time += SETTLE_AFTER_S
    desk.watched.looked_at(100)

    assert (1, 2) == (too_early, desk.credits.asked)
    assert [(CENT, "credits")] == desk.outside()


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("why", ["key not told", "unreachable", "another key", "sent before the first totals"])
def test_does_not_nag(desk: Desk, why: str) -> None:
    """Where OpenRouter's totals cannot settle an attempt they are asked for now and then, not all the time."""
    if why == "sent before the first totals":
        desk.lost("one:1", 1_000)
    desk.reconcile()
    desk.lost("two:1", 1_000, key_id=OTHER_KEY_ID)
    desk.credits.error = DOWN if why == "unreachable" else None
    desk.credits.key = None if why == "key not told" else desk.credits.key
    desk.reconciler.start()
    desk.watched.looked_at(100)
    at_first = desk.credits.asked
    for _ in range(10):
        desk.clock.time += 60
        desk.watched.looked_at()

    assert 2 == at_first
    assert at_first < desk.credits.asked <= at_first + 10


@pytest.mark.usefixtures("restless")
def test_house_is_kept(desk: Desk) -> None:
    """Once an hour old rows are removed and, once a day, a copy is made; the sums stay."""
    desk.answered("one:1", DOLLAR)
    desk.clock.time += 91 * DAY
    desk.answered("two:1", DOLLAR)
    desk.ledger.flush()
    desk.reconciler.start()
    desk.watched.looked_at()

    assert ["two:1"] == [row["id"] for row in rows(desk.path)]
    assert 2 * DOLLAR == desk.ledger.sums().settled
    assert desk.ledger.state().last_backup is not None


@pytest.mark.usefixtures("restless")
def test_no_room_for_a_copy(desk: Desk) -> None:
    """That the daily copy cannot be made is said once, and nothing else waits for it."""
    for day in ("20270115", "20270116"):
        # Where the copy is made, and where root may not write either.
        (desk.path.parent / f".ledger-backup-{day}.db.{os.getpid()}").mkdir()
    desk.lost("one:1", 1_000)
    desk.reconciler.start()
    desk.watched.looked_at()
    for _ in range(25):
        desk.clock.time += HOUR
        desk.watched.looked_at()

    assert [] == desk.left()
    [told] = desk.events.of("ledger.backup_failed")
    assert "cannot be copied" in str(told["why"])


def test_stop(desk: Desk) -> None:
    """Stopping ends the thread at once."""
    desk.reconciler.start()
    assert desk.begun.wait(SOON_S)
    begin = time.monotonic()
    desk.reconciler.stop()

    assert time.monotonic() - begin < 1
    assert "orgate-reconcile" not in {thread.name for thread in threading.enumerate()}


def test_stop_before_start(desk: Desk) -> None:
    """What was never started has nothing to end."""
    desk.reconciler.stop()

    assert [] == desk.outside()
