from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import Unavailable
from app.core.ledger import Closing, Open, Source, State
from app.core.money import NANO
from app.services import settler as settler_module
from tests.adapters.ledger.ledgers import KEY_ID, ambiguous, hold
from tests.services.tills import DOWN, KEY, NOT_FOUND, SOON_S, Said, Till, generation

COST = NANO // 4
UNKNOWN: Any = ("ambiguous", None, None)
FOUND: Any = ("settled", COST, "generation")


@pytest.fixture(autouse=True)
def short_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread's own pause after a failure is real time, which a test does not have."""
    monkeypatch.setattr(settler_module, "_TROUBLE_S", 0.0)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    till = Till(tmp_path / "ledger.db")
    yield till
    till.close()


def left_open(till: Till, attempt_id: str = "call:1", generation_id: str | None = "gen-1", amount: int = NANO) -> Open:
    """An attempt that was sent now and whose cost nobody has told; the ledger has it, the settler does not."""
    till.ledger.reserve(hold(attempt_id, amount), ())
    till.ledger.close(ambiguous(attempt_id, generation_id=generation_id))
    return Open(attempt_id, "editor", "author/model", KEY_ID, generation_id, amount, State.AMBIGUOUS, till.clock.time)


def names(till: Till) -> list[str]:
    """The attempts that nobody can look up."""
    return [attempt.attempt_id for attempt in till.settler.nameless()]


def threads() -> list[threading.Thread]:
    """Settlers' threads that run."""
    return [thread for thread in threading.enumerate() if thread.name == "orgate-settler"]


def test_unknown_for_a_while(till: Till) -> None:
    """U63: while OpenRouter does not know a generation its hold stands, and what it says then is the cost."""
    till.settler.add(left_open(till))
    seen = []
    for _ in range(60):
        till.pass_time(1)
        seen.append((till.state(), till.ledger.sums().held))
    till.openrouter.says["gen-1"] = generation("0.25")
    till.pass_time(60)

    assert {(UNKNOWN, NANO)} == set(seen)
    assert (FOUND, 0) == (till.state(), till.ledger.sums().held)
    assert [("editor", "author/model", COST)] == till.told
    assert {KEY} == till.openrouter.keys


def test_back_off(till: Till) -> None:
    """U63: OpenRouter is asked after half a second, then ever more seldom, and every ten minutes in the end."""
    till.settler.add(left_open(till))
    begin, waits = till.clock.time, (0.5, 1, 2, 4, 8, 16, 32, 60, 600, 600)
    for wait_s in waits:
        if wait_s > 0.5:
            till.pass_time(wait_s - 0.5)
        till.pass_time(0.5)

    assert [begin + after_s for after_s in itertools.accumulate(waits)] == [at for _, at in till.openrouter.asked]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(NOT_FOUND, id="404"),
        pytest.param((500, b"<html>oh no</html>"), id="500"),
        pytest.param((429, b'{"error": {"code": 429}}'), id="429"),
        pytest.param((401, b'{"error": {"code": 401}}'), id="401"),
        pytest.param((500, generation("0.25")[1]), id="a cost with another status"),  # type: ignore[index]
        pytest.param(generation(None), id="null"),
        pytest.param(generation("-0.000001"), id="negative"),
        pytest.param(generation(10**12), id="absurd"),
        pytest.param((200, b'{"data": {"total_cost": 1e999999}}'), id="more than a float takes"),
        pytest.param((200, b'{"data": {"total_cost": NaN}}'), id="NaN"),
        pytest.param(generation("free"), id="a word"),
        pytest.param(generation(True), id="true"),
        pytest.param(generation([1]), id="a list"),
        pytest.param((200, b'{"data": {"id": "gen-1"}}'), id="no cost"),
        pytest.param((200, b'{"data": null}'), id="no data"),
        pytest.param((200, b'{"data": [{"total_cost": 1}]}'), id="a list of data"),
        pytest.param((200, b"[]"), id="a list"),
        pytest.param((200, b""), id="nothing"),
        pytest.param((200, b"\xff<html>"), id="no JSON"),
        pytest.param(DOWN, id="unreachable"),
        pytest.param(Unavailable("no key", code="no_key"), id="no key"),
    ],
)
def test_no_cost_told(till: Till, said: Said) -> None:
    """What is no cost is never taken for one: the hold stands, and OpenRouter is asked until it tells."""
    till.openrouter.says["gen-1"] = said
    till.settler.add(left_open(till))
    till.pass_time(0.5)
    till.pass_time(1)
    before, asked = till.state(), till.openrouter.times_asked()
    till.openrouter.says["gen-1"] = generation("0.25")
    till.pass_time(60)

    assert (UNKNOWN, 2) == (before, asked)
    assert FOUND == till.state()
    assert [] == till.events.of("settler.broke")


@pytest.mark.parametrize(("cost", "nanos"), [("0.25", COST), (0.000081, 81_000), (2, 2 * NANO), (0, 0)], ids=str)
def test_costs(till: Till, cost: Any, nanos: int) -> None:
    """A cost is taken over to the nano-dollar however it is written; what cost nothing is settled, and no news."""
    till.openrouter.says["gen-1"] = generation(cost)
    till.settler.add(left_open(till))
    till.pass_time(0.5)

    assert ("settled", nanos, "generation") == till.state()
    assert [nanos][: nanos > 0] == [cost for _, _, cost in till.told]


def test_facts(till: Till) -> None:
    """Model, provider, own key and the tokens as they are billed are taken over; what was known before stays."""
    till.openrouter.says["gen-1"] = generation(
        "0.25",
        model="author/served",
        provider_name="Fast",
        is_byok=True,
        tokens_prompt=1,
        tokens_completion=2,
        native_tokens_prompt=10,
        native_tokens_completion=20,
        native_tokens_cached=3,
        native_tokens_reasoning=4,
    )
    till.openrouter.says["gen-2"] = generation(
        "0.25", model=7, provider_name="", is_byok="no", native_tokens_prompt=-1, native_tokens_completion=10**12
    )
    first, second = left_open(till), left_open(till, "call:2", "gen-2")
    till.settler.add(first)
    till.settler.add(second)
    till.pass_time(0.5)

    told = ("served_model", "provider", "is_byok", "generation_id", "outcome")
    tokens = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    full, bare = till.row("call:1"), till.row("call:2")
    assert ("author/served", "Fast", 1, "gen-1", None) == tuple(full[name] for name in told)
    assert (10, 20, 3, 4) == tuple(full[name] for name in tokens)
    assert (None, None, None, "gen-2", None) == tuple(bare[name] for name in told)
    assert [None] * 4 == [bare[name] for name in tokens]


def test_several(till: Till) -> None:
    """Each attempt gets its own cost, and one that stays unknown keeps nobody waiting."""
    for number in range(1, 8):
        till.openrouter.says[f"gen-{number}"] = NOT_FOUND if number == 3 else generation(f"0.{number}")
        till.settler.add(left_open(till, f"call:{number}", f"gen-{number}"))
    till.pass_time(0.5)

    till.ledger.flush()
    assert ["call:3"] == [attempt.attempt_id for attempt in till.ledger.open()]
    assert [1, 2, 4, 5, 6, 7] == [cost * 10 // NANO for _, _, cost in till.told]


def test_told_once(till: Till) -> None:
    """An attempt that comes twice is asked for and told of once."""
    attempt = left_open(till)
    till.openrouter.says["gen-1"] = generation("0.25")
    till.settler.add(attempt)
    till.settler.add(attempt)
    till.settler.resume()
    till.pass_time(0.5)
    till.pass_time(60)

    assert (1, 1) == (till.openrouter.times_asked(), len(till.told))


@pytest.mark.parametrize("found", [generation("0.5"), NOT_FOUND, DOWN], ids=["found", "unknown", "unreachable"])
def test_settled_while_asked(till: Till, found: Said) -> None:
    """What somebody else settles while OpenRouter is asked stays as it is, is told once and is not asked for again."""
    attempt = left_open(till)
    elsewhere = Closing("call:1", State.SETTLED, cost=COST, source=Source.KEY)

    def answer() -> Said:
        till.settler.settled(attempt, elsewhere)
        return found

    till.openrouter.says["gen-1"] = answer
    till.settler.add(attempt)
    till.pass_time(0.5)
    till.pass_time(60)

    assert ("settled", COST, "key") == till.state()
    assert (1, [COST]) == (till.openrouter.times_asked(), [cost for _, _, cost in till.told])
    assert not till.settler.settled(attempt, elsewhere)


def test_sink_breaks(till: Till) -> None:
    """A cost is written down once also when telling it fails."""
    till.deaf = RuntimeError("a sink")
    till.openrouter.says["gen-1"] = generation("0.25")
    till.settler.add(left_open(till))
    till.pass_time(0.5)
    till.pass_time(60)

    assert (FOUND, 1, 1) == (till.state(), len(till.told), till.openrouter.times_asked())
    assert 1 == len(till.events.of("settler.broke"))


def test_resume(till: Till) -> None:
    """What one run of the gateway left open the next one finds out, after a crash as well."""
    left_open(till, "call:1", "gen-1")
    left_open(till, "call:2", None)
    till.ledger.reserve(hold("call:3"), ())
    till.close()
    till.openrouter.says["gen-1"] = generation("0.25")

    till.open()
    till.settler.resume()
    till.settler.resume()
    nameless = names(till)
    till.pass_time(0.5)

    assert ["call:2", "call:3"] == nameless
    assert FOUND == till.state("call:1")
    assert [UNKNOWN, UNKNOWN] == [till.state(name) for name in ("call:2", "call:3")]
    assert 1 == len(till.told)


def test_resume_beside_running_attempts(till: Till) -> None:
    """An attempt under way, or one just settled, is not taken for one that was left."""
    till.ledger.reserve(hold("call:1"), ())
    attempt = left_open(till, "call:2")
    till.settler.add(attempt)
    till.settler.settled(attempt, Closing("call:2", State.SETTLED, cost=COST, source=Source.KEY))
    till.settler.resume()
    till.pass_time(60)

    assert ([], 0, 1) == (names(till), till.openrouter.times_asked(), len(till.told))


def test_resume_makes_nobody_wait(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a ledger that cannot be written holds up who resumes, answers end and attempts are settled as ever."""
    attempt = left_open(till, "call:1")
    till.ledger.flush()
    held_up, goes_on, flush = threading.Event(), threading.Event(), till.ledger.flush

    def slow() -> None:
        held_up.set()
        assert goes_on.wait(SOON_S)
        flush()

    monkeypatch.setattr(till.ledger, "flush", slow)
    resuming = threading.Thread(target=till.settler.resume)
    resuming.start()
    assert held_up.wait(SOON_S)
    added = threading.Thread(target=till.settler.add, args=(attempt,))
    added.start()
    added.join(SOON_S / 2)
    at_once = not added.is_alive()
    goes_on.set()
    resuming.join(SOON_S)
    added.join(SOON_S)

    assert at_once


def test_when_it_was_charged(till: Till) -> None:
    """With a cost goes when it was charged at the latest, which may be long before it became known."""
    begun = till.clock.now()
    till.settler.add(left_open(till, "call:1", "gen-1"))
    till.pass_time(600)
    till.openrouter.says["gen-1"] = generation("0.25")
    till.settler.look_now()

    assert [begun] == till.charged_at


def test_settled_while_resuming(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is settled just after the ledger told that it is open is not taken up again."""
    attempt = left_open(till, "call:1")
    till.ledger.flush()
    till.settler.add(attempt)
    told = till.ledger.open

    def then_settled() -> list[Open]:
        found = told()
        till.settler.settled(attempt, Closing("call:1", State.SETTLED, cost=COST, source=Source.KEY))
        return found

    monkeypatch.setattr(till.ledger, "open", then_settled)
    till.settler.resume()
    till.pass_time(60)

    assert ([], 0, 1) == (names(till), till.openrouter.times_asked(), len(till.told))


def test_look_now(till: Till) -> None:
    """Asked for it, the settler looks everything up at once, however long it would have waited."""
    till.settler.add(left_open(till, "call:1", "gen-1"))
    till.settler.add(left_open(till, "call:2", "gen-2"))
    till.openrouter.says["gen-1"] = generation("0.25")
    till.settler.look_now()

    assert (FOUND, UNKNOWN) == (till.state("call:1"), till.state("call:2"))
    till.openrouter.says["gen-2"] = generation("0.25")
    till.pass_time(1)
    assert FOUND == till.state("call:2")


@pytest.mark.parametrize("trouble", [DOWN, RuntimeError("ours")], ids=["unreachable", "broken"])
def test_look_now_fails(till: Till, trouble: Exception) -> None:
    """Where OpenRouter cannot be asked that is said, and nobody is forgotten."""

    def fails() -> Said:
        raise trouble

    for number in (1, 2, 3):
        till.settler.add(left_open(till, f"call:{number}", f"gen-{number}"))
        till.openrouter.says[f"gen-{number}"] = generation("0.25")
    till.openrouter.says["gen-2"] = fails
    with pytest.raises(type(trouble)):
        till.settler.look_now()
    before = [till.state(f"call:{number}") for number in (1, 2, 3)]
    till.openrouter.says["gen-2"] = generation("0.25")
    till.pass_time(0.5)

    assert [FOUND, UNKNOWN, UNKNOWN] == before
    assert [FOUND] * 3 == [till.state(f"call:{number}") for number in (1, 2, 3)]
    assert 3 == len(till.told)


def test_no_id(till: Till) -> None:
    """What OpenRouter gave no id cannot be looked up: it is left to reconciliation."""
    till.settler.add(left_open(till, generation_id=None))
    till.settler.look_now()
    till.pass_time(600)

    assert (["call:1"], []) == (names(till), till.openrouter.asked)
    assert UNKNOWN == till.state()


def test_id_stays_unknown(till: Till) -> None:
    """After two minutes an id that OpenRouter does not know is as good as none, and is still asked for."""
    till.settler.add(left_open(till))
    for _ in range(119):
        till.pass_time(1)
    before = names(till)
    till.pass_time(60)
    after, asked = names(till), till.openrouter.times_asked()
    till.openrouter.says["gen-1"] = generation("0.25")
    till.pass_time(600)

    assert ([], ["call:1"], asked + 1) == (before, after, till.openrouter.times_asked())
    assert (FOUND, []) == (till.state(), names(till))


def test_old_attempt(till: Till) -> None:
    """What was left long ago is asked for at once, and is nameless as soon as OpenRouter does not know it."""
    attempt = left_open(till)
    till.clock.time += 86_000
    till.settler.add(attempt)
    before = names(till)
    till.pass_time(0.5)

    assert ([], 1, ["call:1"]) == (before, till.openrouter.times_asked(), names(till))


@pytest.mark.parametrize("name", ["gen 1&id=gen-2#x", "../key?a=b", "gen-1\r\nHost: evil", "gén-\ud800"], ids=ascii)
def test_odd_ids(till: Till, name: str) -> None:
    """An id is a foreign text, and asks for that generation whatever is in it."""
    known = name.encode("utf-8", "replace").decode()
    till.openrouter.says[known] = generation("0.25")
    till.settler.add(left_open(till, generation_id=name))
    till.settler.look_now()

    assert FOUND == till.state()
    assert 1 == till.openrouter.times_asked(known)


@pytest.mark.parametrize("trouble", [False, True], ids=["waiting", "in trouble"])
def test_stop(till: Till, monkeypatch: pytest.MonkeyPatch, trouble: bool) -> None:
    """Stopping ends the thread at once, whatever it waits for; what is open stays so in the ledger."""
    monkeypatch.setattr(settler_module, "_TROUBLE_S", 60.0)
    asked, others = threading.Event(), threads()

    def tells() -> Said:
        asked.set()
        return DOWN if trouble else NOT_FOUND

    till.openrouter.says["gen-1"] = tells
    till.settler.add(left_open(till))
    if trouble:
        till.clock.time += 0.5
        assert asked.wait(SOON_S)
    else:
        # From now on it waits for a minute.
        for _ in range(8):
            till.settler.look_now()
    running = len(threads()) - len(others)
    begin = time.monotonic()
    till.settler.stop()
    took_s = time.monotonic() - begin
    till.settler.add(left_open(till, "call:2"))

    assert (1, others) == (running, threads())
    assert took_s < 1
    assert [UNKNOWN, UNKNOWN] == [till.state(name) for name in ("call:1", "call:2")]


def test_stop_without_a_thread(till: Till) -> None:
    """A settler that never had anything to do has nothing to end."""
    others = threads()
    till.settler.add(left_open(till, generation_id=None))
    till.settler.stop()

    assert others == threads()
