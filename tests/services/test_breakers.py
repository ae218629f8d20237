from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.attempts import Cause, Phase, Tried
from app.core.errors import GatewayError, InsufficientCredits, Unauthenticated, UpstreamFailed
from app.services.breakers import Breakers
from tests.services.fakes import FakeClock

MODELS = ("a/b", "c/d")
KEY, OTHER_KEY = "key1", "key2"
ERRORS = {Cause.KEY: Unauthenticated("no key"), Cause.MONEY: InsufficientCredits("no money")}
BLAMELESS = [cause for cause in Cause if cause.value in ("unsent", "too_long", "request", "policy", "daily", "left")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breakers(clock: FakeClock) -> Breakers:
    return Breakers(clock)


def fail(breakers: Breakers, cause: Cause, times: int = 1, model: str = "a/b", remaining: int | None = None) -> None:
    """Let attempts fail."""
    for _ in range(times):
        breakers.failed(Tried(model, cause, ERRORS.get(cause, UpstreamFailed("down")), Phase.SENT, 1.0), KEY, remaining)


def same(error: GatewayError, told: GatewayError | None) -> bool:
    """Whether a call was told this error, as one of its own that it may write its attempts into."""
    return told is not None and told is not error and (type(error), error.message) == (type(told), told.message)


def door(
    breakers: Breakers, key: str = KEY, remaining: int | None = None, *, free: bool = False
) -> GatewayError | None:
    """What a call is told before it is sent."""
    return breakers.closed_door(key, lambda: remaining, free=free)


@pytest.mark.parametrize("cause", [Cause.BUSY, Cause.BROKEN, Cause.MODEL, Cause.SILENT, Cause.LOST, Cause.EMPTY])
def test_three_failures(breakers: Breakers, clock: FakeClock, cause: Cause) -> None:
    """After three failures in a row a model rests for 10 s, and only this one."""
    fail(breakers, cause, 2)
    before = breakers.resting(MODELS)
    fail(breakers, cause)
    after = breakers.resting(MODELS)
    clock.time += 10

    assert [set(), {"a/b"}, set()] == [set(each) for each in (before, after, breakers.resting(MODELS))]


@pytest.mark.parametrize("cause", BLAMELESS, ids=lambda cause: cause.value)
def test_not_the_models_fault(breakers: Breakers, cause: Cause) -> None:
    """What is the fault of the request, the app or the network lets no model rest and shuts no door."""
    fail(breakers, cause, 10)

    assert frozenset() == breakers.resting(MODELS)
    assert door(breakers) is None
    assert {"models": {}, "everything": None} == breakers.state()


def test_one_probe(breakers: Breakers, clock: FakeClock) -> None:
    """After the rest one call goes out, the others wait for it; its success lets all go on."""
    fail(breakers, Cause.BUSY, 3)
    clock.time += 10
    claimed = [breakers.claim("a/b") for _ in range(3)]
    during = breakers.resting(MODELS)
    breakers.began("a/b", free=False)

    assert [True, False, False] == claimed
    assert [{"a/b"}, set()] == [set(each) for each in (during, breakers.resting(MODELS))]
    assert {} == breakers.state()["models"]


def test_one_probe_of_many_threads(breakers: Breakers, clock: FakeClock) -> None:
    """Of many calls that come at the same moment exactly one probes."""
    fail(breakers, Cause.BUSY, 3)
    clock.time += 10
    with ThreadPoolExecutor(30) as pool:
        claimed = list(pool.map(lambda _: breakers.claim("a/b"), range(300)))

    assert 1 == sum(claimed)


def test_answers_that_break_off(breakers: Breakers) -> None:
    """Streams that begin and break off, three in a row, let the model rest; a whole one in between does not."""
    for _ in range(2):
        breakers.began("a/b", free=False)
        breakers.broke_off("a/b")
    breakers.answered("a/b")
    resting = []
    for _ in range(3):
        breakers.began("a/b", free=False)
        breakers.broke_off("a/b")
        resting.append(bool(breakers.resting(MODELS)))

    assert [False, False, True] == resting


def test_probe_that_breaks_off(breakers: Breakers, clock: FakeClock) -> None:
    """A probe that begins to answer ends the rest; when it breaks off the model rests again."""
    fail(breakers, Cause.BUSY, 3)
    clock.time += 10
    breakers.claim("a/b")
    breakers.began("a/b", free=False)
    well = not breakers.resting(MODELS)
    breakers.broke_off("a/b")

    assert well
    assert {"a/b"} == set(breakers.resting(MODELS))


def test_probe_fails(breakers: Breakers, clock: FakeClock) -> None:
    """After a failed probe the model rests until 20 s after the probe was sent."""
    fail(breakers, Cause.BUSY, 3)
    clock.time += 10
    breakers.claim("a/b")
    clock.time += 5
    fail(breakers, Cause.BUSY)
    resting = []
    for later_s in (0, 14, 1):
        clock.time += later_s
        resting.append(bool(breakers.resting(MODELS)))

    assert [True, True, False] == resting


def test_answer_in_between(breakers: Breakers) -> None:
    """An answer forgets the failures before it."""
    fail(breakers, Cause.LOST, 2)
    breakers.answered("a/b")
    fail(breakers, Cause.LOST, 2)

    assert frozenset() == breakers.resting(MODELS)


def test_sending_remembers_nothing(breakers: Breakers) -> None:
    """A model that never failed is not kept in mind."""
    breakers.claim("a/b")
    breakers.began("a/b", free=False)
    breakers.answered("a/b")

    assert {"models": {}, "everything": None} == breakers.state()


@pytest.mark.parametrize(
    ("cause", "remaining"),
    [(Cause.KEY, None), (Cause.KEY, 5), (Cause.MONEY, None), (Cause.MONEY, 0), (Cause.MONEY, -5)],
    ids=["key", "key with money", "balance unknown", "balance 0", "balance below 0"],
)
def test_closed_door(breakers: Breakers, cause: Cause, remaining: int | None) -> None:
    """A refused key or an empty account is told to the calls that follow, for every model, without asking again."""
    fail(breakers, cause, remaining=remaining)

    assert same(ERRORS[cause], door(breakers, remaining=remaining))
    assert ERRORS[cause].code == breakers.state()["everything"]
    assert frozenset() == breakers.resting(MODELS)


def test_each_call_has_its_own_error(breakers: Breakers) -> None:
    """What one call writes into its refusal is not told to the next."""
    fail(breakers, Cause.KEY)
    first = door(breakers)
    assert first is not None
    first.details = {"attempts": ["secret"]}
    first.should_retry = True
    second = door(breakers)

    assert second is not None
    assert (None, False) == (second.details, second.should_retry)
    assert ERRORS[Cause.KEY].details is None


def test_money_that_is_left(breakers: Breakers) -> None:
    """A call that costs more than there is shuts the door for no cheaper one."""
    fail(breakers, Cause.MONEY, remaining=1)

    assert door(breakers, remaining=1) is None


@pytest.mark.parametrize("cause", ERRORS, ids=lambda cause: cause.value)
@pytest.mark.parametrize(
    ("key", "remaining"), [(OTHER_KEY, 0), (KEY, 7), (KEY, None)], ids=["key", "balance", "unknown"]
)
def test_other_circumstances(breakers: Breakers, cause: Cause, key: str, remaining: int | None) -> None:
    """With another key or another balance calls are sent again at once."""
    fail(breakers, cause, remaining=0)

    assert door(breakers, key, remaining) is None


@pytest.mark.parametrize(("cause", "opens"), [(Cause.MONEY, True), (Cause.KEY, False)], ids=["money", "key"])
def test_free_model(breakers: Breakers, cause: Cause, opens: bool) -> None:
    """A free model is asked while only money is missing, and the door stays shut for the others."""
    fail(breakers, cause, remaining=0)

    assert opens == (door(breakers, remaining=0, free=True) is None)
    assert same(ERRORS[cause], door(breakers, remaining=0))


@pytest.mark.parametrize("cause", ERRORS, ids=lambda cause: cause.value)
def test_finding_out(breakers: Breakers, clock: FakeClock, cause: Cause) -> None:
    """Every 30 s one call finds out whether the refusal still holds."""
    fail(breakers, cause, remaining=0)
    told = []
    for later_s in (29.9, 0.1, 0, 29.9, 0.1):
        clock.time += later_s
        told.append(door(breakers, remaining=0) is None)

    assert [False, True, False, False, True] == told


def test_answer_opens_the_door(breakers: Breakers) -> None:
    """An answer shows that key and account are well."""
    fail(breakers, Cause.KEY)
    breakers.began("c/d", free=False)

    assert door(breakers) is None
    assert breakers.state()["everything"] is None


def test_state(breakers: Breakers, clock: FakeClock) -> None:
    """The state names the models that rest with what is left of it, and why nothing is sent at all."""
    fail(breakers, Cause.LOST, 3)
    fail(breakers, Cause.LOST, 2, model="c/d")
    fail(breakers, Cause.KEY)
    clock.time += 3.96

    assert {
        "models": {"a/b": {"failures": 3, "rests_s": 6.0}},
        "everything": "invalid_token",
    } == breakers.state()


def test_state_after_the_rest(breakers: Breakers, clock: FakeClock) -> None:
    """A model that waits for its probe is still named, with nothing left of its rest."""
    fail(breakers, Cause.LOST, 3)
    clock.time += 60

    assert {"a/b": {"failures": 3, "rests_s": 0.0}} == breakers.state()["models"]
