from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.core.errors import Unavailable
from app.workers import places as places_module
from app.workers.places import SharedPlaces


def two(count: int) -> tuple[SharedPlaces, SharedPlaces]:
    """The places of two processes, as each has them."""
    first = SharedPlaces(count, 2)
    return first, SharedPlaces(count, 2, file=first.file, mine=1)


def test_cap() -> None:
    """The cap is over all processes, and a place that is given back, also twice, is one place."""
    first, second = two(2)
    taken = first.take(), second.take()

    for each in (first, second):
        with pytest.raises(Unavailable, match="ORGATE_MAX_STREAMS") as refusal:
            each.take()
        assert ("too_many_calls", 1, True) == (
            refusal.value.code,
            refusal.value.retry_after_s,
            refusal.value.should_retry,
        )
    taken[0].give_back()
    taken[0].give_back()

    assert (1, 1) == (first.taken, second.taken)
    second.take()
    with pytest.raises(Unavailable):
        first.take()


_TAKES_MANY = """
import sys
from app.core.errors import Unavailable
from app.workers.places import SharedPlaces
places, taken = SharedPlaces(500, 3, file=int(sys.argv[1]), mine=int(sys.argv[2])), 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(500):
    try:
        places.take()
        taken += 1
    except Unavailable:
        pass
print(taken)
"""


def test_race() -> None:
    """However many processes take at once, there are never more than there may be."""
    places = SharedPlaces(500, 3)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _TAKES_MANY, str(places.file), str(number)],
            pass_fds=[places.file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in (1, 2)
    ]
    begun = [other.stdout.readline() for other in others if other.stdout]
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    taken = [int(other.communicate(timeout=30)[0]) for other in others]

    assert ["ready\n"] * 2 == begun
    assert 500 == sum(taken) == places.taken


def test_ended_process() -> None:
    """What a process had taken is free when it has ended, and nothing else."""
    first, second = two(3)
    first.take()
    second.take()
    second.take()

    first.clear(1)

    assert 1 == first.taken


def test_giving_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has more connections than another lets that one take the next; the first process has its fill sooner."""
    waited: list[str] = []
    first, second = two(1)
    monkeypatch.setattr(places_module.time, "sleep", lambda seconds: waited.append("waited"))

    def has_waited(each: SharedPlaces, connections: int) -> bool:
        waited.clear()
        each.give_way(connections)
        return bool(waited)

    assert [False, True, False, True] == [
        has_waited(first, 0),
        has_waited(second, 2),
        has_waited(first, 1),
        has_waited(first, 2),
    ]
