from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pytest

from app.services.company import Company
from tests.services.fakes import FakeClock

COMMENT = b": orgate is waiting for the model\n\n"


class Outlet:
    """The app's end, as the server gives it."""

    def __init__(self) -> None:
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.heard: list[bytes] = []

    def begin(self, content_type: str, headers: Mapping[str, str]) -> Callable[[bytes], object]:
        self.heads.append((content_type, dict(headers)))
        return self.heard.append


def heard_at(*seconds: float) -> Outlet:
    """What the app has heard when the watch looked at these times."""
    clock, outlet = FakeClock(), Outlet()
    company = Company(outlet.begin, lambda: {"x-orgate-attempted-retries": "0"}, clock)
    begun = clock.time
    for second in seconds:
        clock.time = begun + second
        company.tick()
    return outlet


def test_ten_seconds() -> None:
    """For ten seconds the answer's status is held back; then it is a stream's, and a comment says what it waits for."""
    early, late = heard_at(0.0, 5.0, 9.9), heard_at(9.9, 10.0)

    assert ([], []) == (early.heads, early.heard)
    assert [("text/event-stream", {"x-orgate-attempted-retries": "0"})] == late.heads
    assert [COMMENT] == late.heard


def test_every_five_seconds() -> None:
    """The answer begins once, and from then on a comment comes every five seconds."""
    outlet = heard_at(*(second / 5 for second in range(50, 131)))

    assert 1 == len(outlet.heads)
    assert [COMMENT] * 4 == outlet.heard


def test_leaves() -> None:
    """Who is told that the answer comes says no more, and tells whether its status is out."""
    clock, outlet = FakeClock(), Outlet()
    early, late = (Company(outlet.begin, dict, clock) for _ in range(2))
    was_early = early.leave()
    clock.time += 10
    late.tick()
    was_late = late.leave()
    clock.time += 10
    for company in (early, late):
        company.tick()

    assert (False, True) == (was_early, was_late)
    assert [COMMENT] == outlet.heard


def test_leaves_in_the_middle() -> None:
    """It is not left before what is being said is said: nothing of it comes between the answer's parts."""
    clock, speaking, may_end = FakeClock(), threading.Event(), threading.Event()
    order: list[str] = []

    def write(_: bytes) -> None:
        speaking.set()
        assert may_end.wait(5)
        order.append("comment")

    company = Company(lambda *_: write, dict, clock)
    clock.time += 10
    watch = threading.Thread(target=company.tick)
    watch.start()
    assert speaking.wait(5)
    call = threading.Thread(target=lambda: order.append(f"answer, begun: {company.leave()}"))
    call.start()
    may_end.set()
    watch.join(5)
    call.join(5)

    assert ["comment", "answer, begun: True"] == order


def test_app_that_has_left() -> None:
    """An app that has left shows when something is said to it."""

    def write(_: bytes) -> None:
        raise BrokenPipeError

    clock = FakeClock()
    company = Company(lambda *_: write, dict, clock)
    before = company.tick()
    clock.time += 10

    assert (True, False) == (before, company.tick())


def test_answer_that_cannot_be_begun() -> None:
    """What went wrong when the answer was begun is raised once, and not tried again."""
    tries = []

    def begin(*_: object) -> Callable[[bytes], object]:
        tries.append(1)
        raise RuntimeError

    clock = FakeClock()
    company = Company(begin, dict, clock)
    clock.time += 10
    with pytest.raises(RuntimeError):
        company.tick()
    clock.time += 10

    assert company.tick()
    assert [1] == tries


def test_nobody_to_talk_to() -> None:
    """Where the server cannot begin an answer ahead of it, nothing is said."""
    clock = FakeClock()
    company = Company(None, dict, clock)
    clock.time += 100
    company.tick()

    assert not company.leave()
