from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from app.core.errors import Unauthenticated, Unavailable
from app.core.forecast import HOUR_S
from app.core.money import NANO, dollars
from app.services.credits import Credits
from tests.lab.client.lab import comes_true
from tests.services.fakes import Books, FakeClock, MemoryCache, Recorder

KEY = "sk-or-v1-" + "a" * 40


class Account:
    """OpenRouter as far as it tells figures, and the vault with the key to it."""

    def __init__(self) -> None:
        self.credits: Any = {"total_credits": 100, "total_usage": 90}
        self.limits: dict[str, Any] = {}
        self.status = 200
        self.held: str | None = KEY

    def key(self) -> str:
        if self.held is None:
            raise Unavailable("no key")
        return self.held

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        if self.status != 200:
            return self.status, b'{"error": {"code": 401, "message": "User not found."}}'
        if path == "/credits":
            return (403, b"{}") if self.credits is None else (200, json.dumps({"data": self.credits}).encode())
        return 200, json.dumps({"data": {"label": "k", "usage": 1, **self.limits}}).encode()

    def post(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is posted here")

    def left(self, dollars: float) -> None:
        """From now on so much is left on the account."""
        self.credits = {"total_credits": 100, "total_usage": 100 - dollars}

    def key_left(self, dollars: float | None, limit: float = 50) -> None:
        """From now on the key may spend so much."""
        self.limits = {} if dollars is None else {"limit": limit, "limit_remaining": dollars}


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> Recorder:
    return Recorder()


@pytest.fixture
def start(account: Account, books: Books, clock: FakeClock, events: Recorder) -> Callable[[], Credits]:
    """Starts the gateway's credits anew, with nothing kept but the books."""

    def start() -> Credits:
        return Credits(
            upstream=account,
            vault=account,
            cache=MemoryCache(),
            clock=clock,
            events=events,
            ledger=books,  # type: ignore[arg-type]
            ttl_ms=60_000,
            management_key=None,
            low_marks=(5 * NANO, NANO),
        )

    return start


@pytest.fixture
def credits(start: Callable[[], Credits]) -> Credits:
    return start()


def fetch(credits: Credits, clock: FakeClock) -> None:
    """Have the figures fetched again."""
    clock.time += 61
    credits.get()


def lows(events: Recorder, event: str = "credits.low") -> list[object]:
    """The marks that were warned of."""
    return [facts["below"] for facts in events.of(event)]


def test_alert_on_fetch(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """Figures that come in low are warned of, each mark once per episode."""
    for left in (10, 4, 3, 0.5, 0.4, 20, 4):
        account.left(left)
        fetch(credits, clock)

    assert ["5", "1", "5"] == lows(events)


def test_alert_on_spending(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """Between two fetches our own spending is what takes the balance below a mark, and it is warned of at once."""
    account.left(5.2)
    fetch(credits, clock)
    before = lows(events)

    credits.spent(NANO // 4)
    credits.spent(NANO // 8)

    assert [] == before
    assert ["5"] == lows(events)
    assert "4.95" == events.of("credits.low")[0]["remaining"]


def test_cost_that_is_told_late(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """What was charged before OpenRouter told its figures is in them already, whenever its cost becomes known."""
    account.left(5.03)
    begun = clock.now()
    clock.time += 60
    fetch(credits, clock)
    clock.time += 60
    credits.spent(NANO // 50)
    credits.spent(3 * NANO, begun)
    before = credits.remaining(), lows(events)
    credits.spent(NANO // 50, clock.now() - 30)

    assert (5_010_000_000, []) == before
    assert (4_990_000_000, ["5"]) == (credits.remaining(), lows(events))


def test_no_second_alert_after_restart(
    start: Callable[[], Credits], account: Account, clock: FakeClock, events: Recorder
) -> None:
    """What was warned of before a restart is not warned of again, and the next mark is."""
    account.left(4)
    fetch(start(), clock)
    restarted = start()
    fetch(restarted, clock)
    once = lows(events)

    account.left(0.9)
    fetch(restarted, clock)

    assert ["5"] == once
    assert ["5", "1"] == lows(events)


def test_another_key(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """Another key may mean another account: its episode is its own, and going back does not repeat the first."""
    account.left(4)
    for key in (KEY, "sk-or-v1-" + "b" * 40, KEY):
        account.held = key
        fetch(credits, clock)

    assert ["5", "5"] == lows(events)


def test_key_apart_from_balance(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """What the key may still spend is warned of apart from the balance, by spending too."""
    account.left(50)
    account.key_left(5.1)
    fetch(credits, clock)
    before = lows(events, "key.low")

    credits.spent(NANO // 5)
    account.left(4)
    account.key_left(4.9)
    fetch(credits, clock)

    assert [] == before
    assert ["5"] == lows(events, "key.low")
    assert ["5"] == lows(events)
    assert ("4.9", "50") == tuple(events.of("key.low")[0][name] for name in ("remaining", "limit"))


def test_the_same_figures_again(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """Figures that OpenRouter repeats, since its own lag, put an end to an episode like any others."""
    account.left(100)
    account.key_left(1.25)
    fetch(credits, clock)
    for _ in range(2):
        credits.spent(NANO * 26 // 100)
        fetch(credits, clock)
    credits.spent(NANO * 26 // 100)

    assert ["1"] * 3 == [mark for mark in lows(events, "key.low") if mark == "1"]


@pytest.mark.parametrize("cents", [1, 3, 20])
def test_spending_little_by_little(
    credits: Credits, account: Account, clock: FakeClock, events: Recorder, cents: int
) -> None:
    """However small the parts in which it is spent, each mark is warned of at the first that undercuts it."""
    account.left(20)
    account.key_left(7)
    fetch(credits, clock)
    undercut: dict[tuple[str, object], int] = {}
    for number in range(1, 1_950 // cents):
        credits.spent(NANO * cents // 100)
        for event, left in (("credits.low", 2_000), ("key.low", 700)):
            for mark in lows(events, event):
                undercut.setdefault((event, mark), left - number * cents)

    assert set(undercut) == {(event, mark) for event in ("credits.low", "key.low") for mark in ("5", "1")}
    for (_, mark), cents_left in undercut.items():
        assert int(str(mark)) * 100 - cents <= cents_left < int(str(mark)) * 100


def asks(credits: Credits, spent: int) -> bool:
    """Whether OpenRouter is asked for new figures when so many nano-dollars are spent; what it says is waited for."""
    before = credits.kept._asked_at
    credits.spent(spent)
    assert comes_true(lambda: credits.kept._flight is None)
    return credits.kept._asked_at != before


def test_heavy_spending_just_after_a_fetch(credits: Credits, account: Account, clock: FakeClock) -> None:
    """Figures that heavy use has made too old are asked for as soon as they may be, however little is spent then."""
    account.left(20)
    fetch(credits, clock)
    assert not asks(credits, NANO)

    clock.time += 2
    assert asks(credits, 1)


def test_heavy_spending_while_nothing_is_told(credits: Credits, account: Account, clock: FakeClock) -> None:
    """Where new figures do not come, they are asked for again after a tenth more of heavy use, not after each call."""
    account.left(20)
    fetch(credits, clock)
    account.status = 503
    clock.time += 2
    assert asks(credits, NANO)

    clock.time += 6
    assert not asks(credits, NANO // 100)
    assert asks(credits, NANO // 10)


def test_key_with_a_small_limit(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """A key whose whole limit is near a mark is not warned of for that mark."""
    account.key_left(6, limit=6)
    fetch(credits, clock)
    account.key_left(2, limit=6)
    fetch(credits, clock)
    account.key_left(0.5, limit=6)
    fetch(credits, clock)

    assert ["1"] == lows(events, "key.low")


def test_unknown_balance(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """While the balance is not told the episode goes on: neither a warning nor the end of one."""
    account.left(4)
    fetch(credits, clock)
    told = account.credits
    account.credits = None
    fetch(credits, clock)
    account.credits = told
    fetch(credits, clock)

    assert ["5"] == lows(events)


def test_alert_has_a_forecast(
    credits: Credits, account: Account, books: Books, clock: FakeClock, events: Recorder
) -> None:
    """A warning says how fast money is spent and how long it lasts."""
    account.left(4)
    books.spendings = [(clock.time - 20 * HOUR_S, 2 * NANO), (clock.time - HOUR_S / 2, 8 * NANO)]
    fetch(credits, clock)

    facts = events.of("credits.low")[0]
    day = dollars(10 * NANO * HOUR_S // (20 * HOUR_S + 61))
    assert {"1h": "8", "24h": day, "7d": None} == facts["per_hour"]
    assert "about 8 hours" == facts["lasts"]
    assert str(facts["ends_at"]).startswith("2027-01-15T16:")


def test_purchase(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """A total that rises is a purchase, which is told with its amount; one that falls or is new is none."""
    for total in (10, 10, 30.5, 20, None, 40):
        account.credits = total and {"total_credits": total, "total_usage": 9}
        fetch(credits, clock)

    assert [("20.5", "21.5")] == [(facts["amount"], facts["remaining"]) for facts in events.of("credits.purchased")]


def test_refused_key(credits: Credits, account: Account, clock: FakeClock, events: Recorder) -> None:
    """A key that OpenRouter refuses is told once, and again when it was accepted in between."""
    for status in (401, 401, 200, 401):
        account.status = status
        with suppress(Unauthenticated):
            fetch(credits, clock)

    assert [{"which": "key"}, {"which": "key"}] == events.of("key.refused")


def test_ledger_that_cannot_be_read(
    credits: Credits, account: Account, books: Books, clock: FakeClock, events: Recorder
) -> None:
    """A ledger in trouble costs the warning, not the balance nor the call."""
    account.left(4)
    books.error = OSError("disk")
    fetch(credits, clock)
    credits.spent(NANO // 10)
    in_trouble = lows(events)
    books.error = None

    credits.spent(NANO // 10)

    assert [] == in_trouble
    assert ["5"] == lows(events)
    assert 3_800_000_000 == credits.remaining()


def test_spending_without_a_key(credits: Credits, account: Account, clock: FakeClock) -> None:
    """A call that ends after the key was taken away still counts."""
    fetch(credits, clock)
    account.held = None
    credits.spent(NANO)
    account.held = KEY

    assert 9 * NANO == credits.remaining()


def test_told(credits: Credits, account: Account, clock: FakeClock) -> None:
    """OpenRouter's own figures are to be had without our own spending taken off."""
    account.left(50)
    fetch(credits, clock)
    asked_at = clock.time
    credits.spent(NANO // 10)

    figures, at = credits.told()

    assert (50 * NANO, asked_at) == (figures.remaining, at)
    assert 49_900_000_000 == credits.remaining()


def test_nothing_known(credits: Credits) -> None:
    """Before anything was fetched nothing is known, and nobody is asked."""
    assert credits.peek() is None
    assert credits.remaining() is None
