from __future__ import annotations

import pytest

from app.services.answercache import ENTRY_BYTES, LONGEST_S, MOST_BYTES_OF_ANSWER, AnswerCache, Kept
from tests.services.fakes import FakeClock

SIZE = ENTRY_BYTES + 10


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def answers(clock: FakeClock) -> AnswerCache:
    """Has room for four answers, three of them of one app."""
    return AnswerCache(clock, most_bytes=4 * SIZE, most_bytes_of_app=3 * SIZE)


def _answer(body: bytes = b"x" * 10) -> Kept:
    return Kept("application/json", body, "a/b", "P", "gen-1")


def _there(answers: AnswerCache, app: str, keys: str) -> str:
    """Those of the keys whose answer is there."""
    return "".join(key for key in keys if answers.find(app, key.encode(), LONGEST_S) is not None)


def _keep(answers: AnswerCache, app: str, keys: str) -> None:
    for key in keys:
        answers.keep(app, key.encode(), _answer())


def test_age(answers: AnswerCache, clock: FakeClock) -> None:
    """An answer is given with its age, and never to a call that asks for a younger one."""
    answers.keep("notes", b"k", _answer())
    clock.time += 9.5

    assert (_answer(), 9.5) == answers.find("notes", b"k", 10.0)
    assert answers.find("notes", b"k", 9.5) is None
    assert answers.find("notes", b"k", 0.0) is None
    clock.time += 0.5
    assert answers.find("notes", b"k", 10.0) is None
    assert (_answer(), 10.0) == answers.find("notes", b"k", 60.0)


class TwoClocks(FakeClock):
    """A machine that sleeps, and whose clock is set."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0.0

    def monotonic(self) -> float:
        return self.ticks


@pytest.mark.parametrize(("slept_s", "ticked_s"), [(100.0, 1.0), (-3600.0, 100.0)])
def test_age_of_both_clocks(slept_s: float, ticked_s: float) -> None:
    """Neither a machine that slept nor a clock that was set back makes an answer younger."""
    clock = TwoClocks()
    answers = AnswerCache(clock)
    answers.keep("notes", b"k", _answer())
    clock.time += slept_s
    clock.ticks += ticked_s

    assert answers.find("notes", b"k", 99.0) is None
    assert (_answer(), 100.0) == answers.find("notes", b"k", 101.0)


def test_newer_answer(answers: AnswerCache, clock: FakeClock) -> None:
    """A newer answer takes the place of the one before."""
    answers.keep("notes", b"k", _answer(b"old"))
    clock.time += 50
    answers.keep("notes", b"k", _answer(b"new"))

    assert (_answer(b"new"), 0.0) == answers.find("notes", b"k", 10.0)
    assert ENTRY_BYTES + 3 == answers.size


def test_other_app(answers: AnswerCache) -> None:
    """No app is given what another was answered."""
    answers.keep("notes", b"k", _answer())

    assert answers.find("editor", b"k", 10.0) is None


def test_bound_of_an_app(answers: AnswerCache) -> None:
    """Beyond its own room an app loses what it was given longest ago."""
    _keep(answers, "notes", "abc")
    assert "a" == _there(answers, "notes", "a")

    _keep(answers, "notes", "d")

    assert "acd" == _there(answers, "notes", "abcd")


def test_bound_of_all(answers: AnswerCache) -> None:
    """Beyond the room of all, what was given longest ago goes, whoever's it is."""
    _keep(answers, "notes", "ab")
    _keep(answers, "editor", "cd")
    assert "a" == _there(answers, "notes", "a")

    _keep(answers, "editor", "e")

    assert "a" == _there(answers, "notes", "ab")
    assert "cde" == _there(answers, "editor", "cde")
    assert 4 * SIZE == answers.size


def test_large_answer(answers: AnswerCache) -> None:
    """An answer too large for the cache leaves the others there."""
    _keep(answers, "notes", "a")
    answers.keep("notes", b"b", _answer(b"x" * (MOST_BYTES_OF_ANSWER + 1)))

    assert "a" == _there(answers, "notes", "ab")


def test_nothing_is_kept_for_ever(answers: AnswerCache, clock: FakeClock) -> None:
    """What is older than any call can ask for is let go when the next answer comes."""
    _keep(answers, "notes", "a")
    clock.time += LONGEST_S

    _keep(answers, "editor", "b")

    assert SIZE == answers.size
