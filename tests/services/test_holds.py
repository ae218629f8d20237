from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.core.attempts import Cause, Phase, Tried
from app.core.calls import CallReport
from app.core.errors import BudgetExceeded, Unavailable, UpstreamFailed
from app.core.ledger import Hold, State
from app.core.meter import Reading, Usage
from app.core.money import NANO
from app.core.wishes import Wishes
from app.services import books as books_module
from tests.adapters.ledger.ledgers import KEY_ID, hampered
from tests.services.tills import (
    CHEAP,
    DOWN,
    FREE,
    NOT_FOUND,
    SOON_S,
    UNKNOWN,
    UNKNOWN_HOLD,
    Till,
    generation,
    make_call,
)

WHOLE = 1_000_000
"""The hold of a call to the cheap model that does not say how long its answer may be."""

RESERVED: Any = ("reserved", None, None)
RELEASED: Any = ("released", 0, None)
AMBIGUOUS: Any = ("ambiguous", None, None)

BILLED = {Cause.SILENT, Cause.LOST, Cause.EMPTY, Cause.LEFT}


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    till = Till(tmp_path / "ledger.db")
    yield till
    till.close()


def take(till: Till, call_id: str = "call", number: int = 1, model: str = CHEAP, **facts: Any) -> Hold:
    """The hold of an attempt of a call."""
    return till.holds.take(make_call(model, call_id, **facts), number, model, KEY_ID)


def tried(cause: Cause, phase: Phase = Phase.SENT) -> Tried:
    """An attempt that failed."""
    return Tried(CHEAP, cause, UpstreamFailed("no", status=502, code="upstream_error"), phase, 1.5)


def cost(amount: int | None, **facts: Any) -> Reading:
    """The reading of an answer that told this cost."""
    return Reading(**{"generation_id": "gen-1", "usage": Usage(10, 20, 30, cost=amount), **facts})


def report(call_id: str = "call", **facts: Any) -> CallReport:
    """The report of a call that was answered."""
    whole: dict[str, Any] = {
        "app": "editor",
        "endpoint": "/chat/completions",
        "model": CHEAP,
        "fallbacks": (),
        "stream": False,
        "status": 200,
        "outcome": "answered",
        "duration_s": 2.5,
        "first_byte_s": 0.25,
        "attempts": (),
    }
    return CallReport(call_id=call_id, **{**whole, **facts})


def refused(till: Till, call_id: str = "call", **facts: Any) -> BudgetExceeded:
    """The refusal that a call meets."""
    with pytest.raises(BudgetExceeded) as raised:
        take(till, call_id, **facts)
    return raised.value


def test_take(till: Till) -> None:
    """When a hold is there it is written down, with whose it is and how much, before anything is sent."""
    hold = take(till, stream=True)

    row = till.row()
    assert ("call:1", WHOLE, True) == (hold.attempt_id, hold.amount, hold.priced)
    assert RESERVED == till.state()
    assert ("editor", CHEAP, CHEAP, KEY_ID, WHOLE, 1, 1) == tuple(
        row[name] for name in ("app", "asked", "model", "key_id", "hold", "priced", "stream")
    )
    assert WHOLE == till.ledger.sums().held


def test_take_along_a_chain(till: Till) -> None:
    """Each attempt of a chain has a hold of its own, at the price of its own model."""
    call = make_call(CHEAP)
    first = till.holds.take(call, 1, CHEAP, KEY_ID)
    second = till.holds.take(call, 2, FREE, KEY_ID)

    assert [("call:1", WHOLE), ("call:2", 0)] == [(each.attempt_id, each.amount) for each in (first, second)]
    assert (CHEAP, FREE) == (till.row("call:2")["asked"], till.row("call:2")["model"])


@pytest.mark.parametrize(
    ("facts", "amount"),
    [
        ({}, WHOLE),
        ({"max_tokens": 10}, 10_000),
        ({"max_tokens": 10, "n": 3}, 30_000),
        ({"max_tokens": 10, "raw": b"x" * 1000}, 10_000),
    ],
)
def test_amounts(till: Till, facts: dict[str, Any], amount: int) -> None:
    """The hold is the most that the answer may cost at the catalogue's price."""
    assert amount == take(till, **facts).amount


def test_unknown_price(till: Till) -> None:
    """A model without a known price holds the set sum, and is marked."""
    hold = take(till, model=UNKNOWN)

    assert (UNKNOWN_HOLD, False) == (hold.amount, hold.priced)
    assert 0 == till.row()["priced"]


def test_price_of_the_model_that_is_sent_to(till: Till) -> None:
    """A route that searches the web costs more: what counts is the model that the attempt goes to."""
    online = f"{CHEAP}:online"
    searched = till.holds.take(make_call(CHEAP, max_tokens=10), 1, online, KEY_ID)
    plain = till.holds.take(make_call(online, "other", max_tokens=10), 1, CHEAP, KEY_ID)

    assert (10_000 + NANO // 10, 10_000) == (searched.amount, plain.amount)


def test_ledger_away(till: Till) -> None:
    """What cannot be written down is refused, and no attempt is under way."""
    with hampered(till.ledger, "query_only = 1"), pytest.raises(Unavailable):
        take(till)

    assert till.books.quiet_s() == float("inf")
    assert [] == till.ledger.open()


@pytest.mark.parametrize("cause", Cause)
def test_failed(till: Till, cause: Cause) -> None:
    """A failed attempt costs nothing if it was not all sent or OpenRouter says so; else it may have cost something."""
    phases = (Phase.NEW, Phase.CONNECTING, Phase.SENDING, Phase.SENT, Phase.HEADERS, Phase.STREAMING)
    for phase in phases:
        till.holds.failed(take(till, phase.name), tried(cause, phase), Reading(generation_id=phase.name))

    billed = [phase.name for phase in phases if phase >= Phase.SENT and cause in BILLED]
    for phase in phases:
        assert (AMBIGUOUS if phase.name in billed else RELEASED) == till.state(f"{phase.name}:1")
    assert len(billed) * WHOLE == till.ledger.sums().held
    assert [] == till.told


@pytest.mark.parametrize("cause", Cause)
def test_failed_with_a_cost(till: Till, cause: Cause) -> None:
    """A cost that was told is what a failed attempt cost, whatever it failed with."""
    till.holds.failed(take(till), tried(cause, Phase.STREAMING), cost(700_000))

    assert ("settled", 700_000, "answer") == till.state()
    assert [("editor", CHEAP, 700_000)] == till.told


@pytest.mark.parametrize("cause", Cause)
def test_failed_inside_an_answer(till: Till, cause: Cause) -> None:
    """An error inside a 200 has a generation behind it: what that cost is asked, whatever the error says."""
    reading = Reading(generation_id="gen-1", error={"code": 502})
    till.holds.failed(take(till), tried(cause, Phase.HEADERS), reading)
    before = till.state()
    till.openrouter.says["gen-1"] = generation("0.0005")
    till.pass_time(0.5)

    assert AMBIGUOUS == before
    assert ("settled", 500_000, "generation") == till.state()


def test_failed_is_told(till: Till) -> None:
    """Status, code and duration of a failed attempt are written down."""
    till.holds.failed(take(till), tried(Cause.BROKEN), Reading())

    row = till.row()
    assert (502, "upstream_error", 1500) == tuple(row[name] for name in ("status", "outcome", "duration_ms"))


def test_ended(till: Till) -> None:
    """An answer settles its attempt with what it says of itself, and its cost is told once."""
    reading = cost(81_000, model="author/served", provider="Fast")
    till.holds.ended(take(till), report(), reading)

    row = till.row()
    assert ("settled", 81_000, "answer") == till.state()
    assert ("author/served", "Fast", "gen-1") == tuple(
        row[name] for name in ("served_model", "provider", "generation_id")
    )
    assert (200, "answered", 250, 2500) == tuple(
        row[name] for name in ("status", "outcome", "first_content_ms", "duration_ms")
    )
    assert (10, 20) == (row["prompt_tokens"], row["completion_tokens"])
    assert [("editor", CHEAP, 81_000)] == till.told
    assert 0 == till.ledger.sums().held


def test_ended_for_nothing(till: Till) -> None:
    """An answer that cost nothing is settled, and no news."""
    till.holds.ended(take(till), report(), cost(0))

    assert ("settled", 0, "answer") == till.state()
    assert [] == till.told


@pytest.mark.parametrize("usage", [None, Usage(10, 20, 30)], ids=["no usage", "no cost"])
def test_ended_without_a_cost(till: Till, usage: Usage | None) -> None:
    """An answer that does not tell its cost keeps its hold until OpenRouter does; its tokens are known already."""
    till.holds.ended(take(till), report(), cost(None, usage=usage))
    before, tokens = till.state(), till.row()["completion_tokens"]
    till.openrouter.says["gen-1"] = generation("0.0005")
    till.pass_time(0.5)

    assert (AMBIGUOUS, usage and 20) == (before, tokens)
    assert ("settled", 500_000, "generation") == till.state()
    assert [("editor", CHEAP, 500_000)] == till.told


@pytest.mark.parametrize("dollars", ["2.5", "0.0007"], ids=["it is so", "it is not"])
def test_absurd_cost(till: Till, dollars: str) -> None:
    """A cost far above the hold is believed only when OpenRouter says it a second time."""
    till.holds.ended(take(till), report(), cost(5 * NANO // 2))
    before, told = till.state(), list(till.told)
    till.openrouter.says["gen-1"] = generation(dollars)
    till.pass_time(0.5)

    nanos = int(Decimal(dollars) * NANO)
    assert (AMBIGUOUS, []) == (before, told)
    assert ("settled", nanos, "generation") == till.state()
    assert [nanos] == [amount for _, _, amount in till.told]


def test_dear_but_believable(till: Till) -> None:
    """What is over the hold by a search or two is believed at once: a dollar more than three times the hold."""
    most = 3 * WHOLE + NANO
    till.holds.ended(take(till, "one"), report("one"), cost(most))
    till.holds.ended(take(till, "two"), report("two"), cost(most + 1))

    assert ("settled", most, "answer") == till.state("one:1")
    assert AMBIGUOUS == till.state("two:1")


def test_unsent(till: Till) -> None:
    """What was not even begun costs nothing."""
    till.holds.unsent(take(till))

    assert RELEASED == till.state()
    assert ("left", 499) == (till.row()["outcome"], till.row()["status"])


def test_lost(till: Till) -> None:
    """An attempt that nobody waits for any more keeps its hold until OpenRouter tells what it cost."""
    till.holds.lost(take(till), Reading(generation_id="gen-1"))
    before = till.state(), till.ledger.sums().unsettled
    till.openrouter.says["gen-1"] = generation("0.0005")
    till.pass_time(0.5)

    assert (AMBIGUOUS, WHOLE) == before
    assert ("settled", 500_000, "generation") == till.state()


def test_lost_without_an_id(till: Till) -> None:
    """An attempt without an id is handed over for reconciliation."""
    hold = take(till)
    till.clock.time += 5
    till.holds.lost(hold, Reading())

    [nameless] = till.settler.nameless()
    assert (hold.attempt_id, "editor", CHEAP, KEY_ID, WHOLE, State.AMBIGUOUS) == (
        nameless.attempt_id,
        nameless.app,
        nameless.model,
        nameless.key_id,
        nameless.amount,
        nameless.state,
    )


def test_identified(till: Till) -> None:
    """The id of an attempt under way is written down, so that the next run can ask what it cost."""
    hold = take(till)
    till.holds.identified(hold, "gen-1")
    till.ledger.stop()
    till.openrouter.says["gen-1"] = generation("0.0005")

    till.open()
    till.settler.resume()
    till.pass_time(0.5)

    assert ("settled", 500_000, "generation") == till.state()


def test_budget_exceeded(till: Till) -> None:
    """A call that does not fit is told how long an answer would, and nothing is set aside for it."""
    take(till, "one", budgets={"day": WHOLE + 500_999})
    error = refused(till, "two", budgets={"day": WHOLE + 500_999})
    assert error.details is not None

    assert 500 == error.details["affordable_max_tokens"]
    assert ("day", "0.001", "0.000500999") == tuple(error.details[name] for name in ("period", "wanted", "left"))
    assert WHOLE == till.ledger.sums().held
    assert 500_000 == take(till, "three", budgets={"day": WHOLE + 500_999}, max_tokens=500).amount


@pytest.mark.parametrize(
    ("model", "left"), [(CHEAP, 999), (CHEAP, 0), (UNKNOWN, 500_000)], ids=["too little", "nothing", "no price"]
)
def test_nothing_affordable(till: Till, model: str, left: int) -> None:
    """Where not a token can be paid for, or nobody knows how many, none are offered."""
    error = refused(till, model=model, budgets={"day": left})

    assert "affordable_max_tokens" not in (error.details or {})


def test_affordable_with_the_model_that_is_sent_to(till: Till) -> None:
    """What a search costs is taken off what can be afforded, by the model that the attempt goes to."""
    left, affordable = NANO // 10 + 500_000, []
    for asked, sent in ((CHEAP, f"{CHEAP}:online"), (f"{CHEAP}:online", CHEAP)):
        with pytest.raises(BudgetExceeded) as raised:
            till.holds.take(make_call(asked, budgets={"day": left}, n=1000), 1, sent, KEY_ID)
        affordable.append((raised.value.details or {}).get("affordable_max_tokens"))

    assert [None, 100] == affordable


def test_free_models_always_fit(till: Till) -> None:
    """A budget that is used up does not stop what is free."""
    assert 0 == take(till, model=FREE, budgets={"day": 0}).amount


def test_every_budget_counts(till: Till) -> None:
    """A call must fit all budgets of its app; the one it does not fit is named."""
    error = refused(till, budgets={"day": NANO, "month": 10})

    assert "month" == (error.details or {})["period"]
    assert WHOLE == take(till, budgets={"day": WHOLE, "month": WHOLE}).amount


def test_owner_is_warned(till: Till) -> None:
    """The owner hears once in each period that an app's budget is over, and again when the limit was changed."""
    for day in range(3):
        till.holds.ended(take(till, f"paid-{day}"), report(), cost(9))
        for number in range(3):
            refused(till, f"{day}-{number}", budgets={"day": 10})
        till.clock.time += 86_400
    till.holds.ended(take(till, "paid", app="notes"), report(), cost(20))
    refused(till, budgets={"day": 10}, app="notes")
    refused(till, budgets={"day": 20}, app="notes")

    told = till.events.of("budget.exceeded")
    assert ["editor"] * 3 + ["notes"] * 2 == [facts["app"] for facts in told]
    assert 3 == len({facts["resets_at"] for facts in told if facts["app"] == "editor"})
    assert {("day", "0.00000001")} == {(facts["period"], facts["limit"]) for facts in told[:4]}


def test_too_large_a_call(till: Till) -> None:
    """That a call did not fit while much is left is told as that, once, and not that the budget is used up."""
    for number in range(3):
        refused(till, f"large-{number}", budgets={"day": WHOLE - 1})
    before = till.events.of("budget.exceeded")
    till.holds.ended(take(till, "paid"), report(), cost(WHOLE - 1))
    refused(till, "over", budgets={"day": WHOLE - 1})

    [told] = till.events.of("budget.refused")
    assert ("editor", "0.001", "0.000999999") == tuple(told[name] for name in ("app", "wanted", "left"))
    assert ([], 1) == (before, len(till.events.of("budget.exceeded")))


def test_unknown_price_is_told(till: Till) -> None:
    """Where a price is not known the app hears that a set sum is held, which no max_tokens makes smaller."""
    unknown = refused(till, model=UNKNOWN, budgets={"day": NANO - 1}, max_tokens=1)
    known = refused(till, budgets={"day": 1_000})

    assert "The price of author/unlisted is not known" in unknown.message
    assert "ORGATE_UNKNOWN_PRICE_HOLD" in unknown.message
    assert "not known" not in known.message
    assert [False, True] == [(error.details or {})["priced"] for error in (unknown, known)]


def test_clamped(till: Till) -> None:
    """A call that will be asked for as long an answer as can be paid for is no refusal to tell the owner of."""
    call = replace(make_call(budgets={"day": WHOLE - 1}), wishes=Wishes(clamp=True))
    with pytest.raises(BudgetExceeded):
        till.holds.take(call, 1, CHEAP, KEY_ID)
    fits = till.events.of("budget.refused")
    with pytest.raises(BudgetExceeded):
        till.holds.take(replace(call, grant=replace(call.grant, budgets={"day": 1_000})), 1, CHEAP, KEY_ID)

    assert ([], 1) == (fits, len(till.events.of("budget.refused")))


def test_quiet(till: Till) -> None:
    """It is quiet since the last attempt ended, however it did, and not while one is under way."""
    ends: list[Callable[[Hold], None]] = [
        lambda hold: till.holds.failed(hold, tried(Cause.BROKEN), Reading()),
        lambda hold: till.holds.ended(hold, report(), cost(5)),
        lambda hold: till.holds.lost(hold, Reading()),
        till.holds.unsent,
    ]
    holds = [take(till, f"call{number}") for number in range(len(ends))]
    seen = []
    for end, hold in zip(ends, holds, strict=True):
        till.clock.time += 10
        seen.append(till.books.quiet_s())
        end(hold)
    till.clock.time += 7

    assert [0.0] * 4 == seen
    assert 7 == till.books.quiet_s()


def test_quiet_when_refused(till: Till) -> None:
    """A call that was refused has not been under way."""
    refused(till, budgets={"day": 0})

    assert till.books.quiet_s() == float("inf")


def test_quiet_at_the_start(till: Till) -> None:
    """With an empty ledger it always was quiet; with any other nobody knows since when, so it is from the start on."""
    empty = till.books.quiet_s()
    take(till)
    till.close()
    till.clock.time += 100
    till.open()
    till.clock.time += 3

    assert (float("inf"), 3) == (empty, till.books.quiet_s())


def test_first_attempt_waits(till: Till) -> None:
    """The first attempt waits until OpenRouter's totals from before it are on record."""
    till.begun.clear()
    waits, taken = threading.Event(), threading.Event()

    def call() -> None:
        waits.set()
        take(till)
        taken.set()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert waits.wait(SOON_S)
    before = taken.is_set(), till.ledger.open()
    till.begun.set()
    thread.join(SOON_S)

    assert (False, []) == before
    assert taken.is_set()
    assert RESERVED == till.state()


def test_first_attempt_does_not_wait_for_ever(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """When OpenRouter's totals do not come the first attempt is sent without them."""
    monkeypatch.setattr(books_module, "_BEGIN_S", 0.01)
    till.begun.clear()
    take(till)

    assert RESERVED == till.state()


def test_closed_once(till: Till) -> None:
    """What OpenRouter tells after an attempt was settled changes nothing."""
    till.openrouter.says["gen-1"] = generation("0.9")
    till.holds.ended(take(till), report(), cost(5))
    till.settler.resume()
    till.settler.look_now()

    assert ("settled", 5, "answer") == till.state()
    assert [5] == [amount for _, _, amount in till.told]
    assert [] == till.openrouter.asked


@pytest.mark.parametrize("said", [NOT_FOUND, DOWN], ids=["unknown", "unreachable"])
def test_no_message_text(till: Till, said: Any) -> None:
    """Nothing of what was asked or answered is in the ledger."""
    till.openrouter.says["gen-1"] = said
    call = make_call(raw=b'{"messages": "canary"}', messages=[{"role": "user", "content": "canary"}])
    till.holds.lost(till.holds.take(call, 1, CHEAP, KEY_ID), Reading(generation_id="gen-1"))
    till.ledger.flush()
    with closing(sqlite3.connect(till.path)) as connection:
        kept = "\n".join(connection.iterdump())

    assert "gen-1" in kept
    assert "canary" not in kept
