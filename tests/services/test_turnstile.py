from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from app.core.errors import Left, RateLimited
from app.core.grants import SCOPES, Grant
from app.core.ports import Allowance
from app.services.turnstile import Turnstile, charge
from tests.services.fakes import FakeClock

SOON_S = 5.0


class FakeQuotas:
    """Lets so many requests through as the test allows; every app has its own."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.taken: list[tuple[str, str, str | None]] = []
        self.retry_after_s = 40

    def take(self, app: str, kind: str, rate: str | None) -> Allowance | None:
        left = self.left.get(app, 0)
        if left == 0:
            return self.look(app, kind, rate)
        self.left[app] = left - 1
        self.taken.append((app, kind, rate))
        return None

    def look(self, app: str, kind: str, rate: str | None) -> Allowance:
        return Allowance(30, self.left.get(app, 0), 0, self.retry_after_s)


class Waiting:
    """A wait that moves the clock and lets the test act at each turn."""

    def __init__(self, clock: FakeClock, *turns: Callable[[], None]) -> None:
        self.clock = clock
        self.turns = list(turns)
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        assert len(self.waits) < 10_000
        self.waits.append(seconds)
        self.clock.time += seconds
        if self.turns:
            self.turns.pop(0)()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def quotas() -> FakeQuotas:
    return FakeQuotas()


@pytest.fixture
def turnstile(quotas: FakeQuotas, clock: FakeClock) -> Turnstile:
    return Turnstile(quotas, clock)


def grant(app: str = "notes", **quotas: str) -> Grant:
    """An app's token."""
    return Grant("jti", app, frozenset(SCOPES), 0, 1, quotas=quotas)


def never(seconds: float) -> None:
    """No wait is expected."""
    raise AssertionError(f"waited {seconds} s")


@pytest.mark.parametrize("queue_s", [0.0, 10.0])
def test_free_way(turnstile: Turnstile, quotas: FakeQuotas, queue_s: float) -> None:
    """While there is quota an attempt passes at once, is counted once, and under the token's own rate."""
    quotas.left["notes"] = 2
    turnstile.enter(grant(chat="5 per minute"), queue_s, never)
    turnstile.enter(grant(), queue_s, never)

    assert [("notes", "chat", "5 per minute"), ("notes", "chat", None)] == quotas.taken


def test_no_queue(turnstile: Turnstile, quotas: FakeQuotas) -> None:
    """Without the wish to wait an attempt over the quota is refused at once, with the time to wait."""
    with pytest.raises(RateLimited) as refused:
        turnstile.enter(grant(), 0.0, never)

    assert ("quota_exceeded", 40, True) == (
        refused.value.code,
        refused.value.retry_after_s,
        refused.value.should_retry,
    )
    assert [] == quotas.taken


def test_queue(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """Who waits passes as soon as there is quota, and is counted once."""
    waiting = Waiting(clock, *[lambda: None] * 3, lambda: quotas.left.update(notes=1))
    turnstile.enter(grant(), 60.0, waiting)

    assert 4 == len(waiting.waits)
    assert [("notes", "chat", None)] == quotas.taken
    assert {} == turnstile._lines


def test_deadline(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """Who waited as long as it wished is refused then, not later, and leaves the line."""
    began, waiting = clock.time, Waiting(clock)
    with pytest.raises(RateLimited) as refused:
        turnstile.enter(grant(), 7.5, waiting)

    assert 7.5 == pytest.approx(clock.time - began)
    assert 40 == refused.value.retry_after_s
    assert {} == turnstile._lines


def test_last_moment(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """Quota that comes with the end of the wait is still taken."""
    waiting = Waiting(clock, lambda: None, lambda: quotas.left.update(notes=1))
    turnstile.enter(grant(), 1.5, waiting)

    assert [1.0, 0.5] == waiting.waits


def test_no_jumping_the_line(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """Quota that comes while somebody waits is theirs: nobody passes them, with a queue or without."""
    refused: list[str] = []

    def others() -> None:
        quotas.left["notes"] = 1
        for queue_s in (0.0, 0.2):
            with pytest.raises(RateLimited) as error:
                turnstile.enter(grant(), queue_s, Waiting(clock))
            refused.append(error.value.code)

    turnstile.enter(grant(), 60.0, Waiting(clock, others))

    assert ["quota_exceeded"] * 2 == refused
    assert (1, {}) == (len(quotas.taken), turnstile._lines)


def test_leaving_frees_the_place(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """An app that leaves the line holds up nobody behind it."""

    def leave() -> None:
        raise Left("gone")

    with pytest.raises(Left):
        turnstile.enter(grant(), 60.0, Waiting(clock, leave))
    quotas.left["notes"] = 1
    turnstile.enter(grant(), 0.0, never)

    assert (1, {}) == (len(quotas.taken), turnstile._lines)


def test_leaving_the_middle(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """Who leaves from the middle of the line changes nothing for its head."""

    def leave() -> None:
        raise Left("gone")

    def join_and_leave() -> None:
        with pytest.raises(Left):
            turnstile.enter(grant(), 60.0, Waiting(clock, leave))
        quotas.left["notes"] = 1

    turnstile.enter(grant(), 60.0, Waiting(clock, join_and_leave))

    assert (1, {}) == (len(quotas.taken), turnstile._lines)


def test_other_apps(turnstile: Turnstile, quotas: FakeQuotas, clock: FakeClock) -> None:
    """Each app has its own line."""

    def other() -> None:
        quotas.left["other"] = 2
        turnstile.enter(grant("other"), 0.0, never)
        turnstile.enter(grant("other"), 5.0, never)
        quotas.left["notes"] = 1

    turnstile.enter(grant(), 60.0, Waiting(clock, other))

    assert ["other", "other", "notes"] == [app for app, _, _ in quotas.taken]


def test_first_come_first_served(turnstile: Turnstile, quotas: FakeQuotas) -> None:
    """Those who wait pass in the order they came."""
    passed: list[int] = []
    changed = threading.Condition()
    errors: list[BaseException] = []

    def enter(number: int, waits: threading.Event) -> None:
        def wait(seconds: float) -> None:
            waits.set()
            threading.Event().wait(0.002)

        try:
            turnstile.enter(grant(), 60.0, wait)
        except BaseException as error:
            errors.append(error)
        with changed:
            passed.append(number)
            changed.notify()

    threads = []
    for number in range(8):
        waits = threading.Event()
        threads.append(threading.Thread(target=enter, args=(number, waits), daemon=True))
        threads[-1].start()
        assert waits.wait(SOON_S)
    for number in range(8):
        quotas.left["notes"] = 1
        with changed:
            assert changed.wait_for(lambda number=number: len(passed) > number, SOON_S)  # type: ignore[misc]
    for thread in threads:
        thread.join(SOON_S)

    assert (list(range(8)), []) == (passed, errors)
    assert (8, {}) == (len(quotas.taken), turnstile._lines)


def test_charge(quotas: FakeQuotas) -> None:
    """A request is counted under its kind, or refused by the name of the quota that is used up."""
    quotas.left["notes"] = 1
    charge(quotas, grant(models="2 per minute"), "models")

    with pytest.raises(RateLimited, match="30 models requests"):
        charge(quotas, grant(), "models")
    assert [("notes", "models", "2 per minute")] == quotas.taken
