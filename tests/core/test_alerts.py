from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.alerts import Look, from_text, look, room, to_text
from app.core.money import NANO
from tests.core.quick import quick

MARKS = (5 * NANO, NANO)

rests = st.none() | st.integers(-(10 * NANO), 20 * NANO)
marks_of_anyone = st.lists(st.integers(0, 10 * NANO), max_size=4, unique=True).map(tuple)


def alerts(*dollars: float | None, marks: tuple[int, ...] = MARKS) -> list[float | None]:
    """The marks warned of, in dollars, as the rest takes these values one after another."""
    told, found = None, []
    for rest in dollars:
        seen = look(marks, told, None if rest is None else int(rest * NANO))
        told = seen.told
        found.append(None if seen.alert is None else seen.alert / NANO)
    return found


@pytest.mark.parametrize(
    ("rests", "warned"),
    [
        pytest.param([10, 5, 4.99], [None, None, 5], id="below the mark, not at it"),
        pytest.param([4, 3, 4.99, 2], [5, None, None, None], id="once per episode"),
        pytest.param([4, 0.5], [5, 1], id="each mark"),
        pytest.param([0.5, 0.4], [1, None], id="only the lowest of two at once"),
        pytest.param([0.5, 4, 0.5], [1, None, 1], id="the lower one again after a rise"),
        pytest.param([0.5, 1.2, 0.5], [1, None, None], id="no rise above 120 %"),
        pytest.param([4, 6, 4], [5, None, None], id="exactly 120 %"),
        pytest.param([4, 6.01, 4], [5, None, 5], id="a new episode"),
        pytest.param([0.5, 20, 4, 0.5], [1, None, 5, 1], id="both after a purchase"),
        pytest.param([4, None, 3, None, 7, None, 4], [5, None, None, None, None, None, 5], id="unknown in between"),
        pytest.param([-1, -2], [1, None], id="overdrawn"),
    ],
)
def test_episodes(rests: list[float | None], warned: list[float | None]) -> None:
    """A mark is warned of once until the rest has risen above 120 % of it."""
    assert warned == alerts(*rests)


def test_no_marks() -> None:
    """Without marks there is never a warning."""
    assert [None, None] == alerts(0.1, -5, marks=())


@given(st.lists(rests, max_size=30), marks_of_anyone)
@quick
def test_no_second_alert_without_a_rise(rests: list[int | None], marks: tuple[int, ...]) -> None:
    """Between two warnings for a mark the rest was above 120 % of it, whatever else happened."""
    told: int | None = None
    waiting: set[int] = set()
    for rest in rests:
        seen = look(marks, told, rest)
        told = seen.told
        waiting -= {mark for mark in waiting if rest is not None and rest > mark * 6 / 5}

        assert seen.alert is None or seen.alert not in waiting
        waiting |= {mark for mark in marks if seen.alert is not None and mark >= seen.alert}


@given(st.lists(rests, max_size=30), marks_of_anyone)
@quick
def test_no_mark_is_missed(rests: list[int | None], marks: tuple[int, ...]) -> None:
    """Whenever a mark is undercut, it or a lower one has been warned of."""
    told: int | None = None
    for rest in rests:
        told = look(marks, told, rest).told

        assert rest is None or all(told is not None and told <= mark for mark in marks if rest < mark)


@given(st.none() | st.integers(0, 10**18), marks_of_anyone)
@quick
def test_unknown(told: int | None, marks: tuple[int, ...]) -> None:
    """A rest that nobody knows changes nothing."""
    assert Look(told) == look(marks, told, None)


@given(st.none() | st.integers(0, 10**18))
@quick
def test_kept_as_text(told: int | None) -> None:
    """What was told comes back from the text it was kept as."""
    assert told == from_text(to_text(told))


@pytest.mark.parametrize("text", ["", "five", "-1", "1.5", "٣", "9" * 5000])
def test_strange_text(text: str) -> None:
    """A text that nobody here has kept counts as nothing told."""
    assert from_text(text) is None


@given(rests, rests, marks_of_anyone)
@quick
def test_room(before: int | None, rest: int | None, marks: tuple[int, ...]) -> None:
    """No warning comes before there is no room left, and one does with a nano-dollar more."""
    told = look(marks, look(marks, None, before).told, rest).told
    rooms = room(marks, told, rest)
    if rest is None or not rooms:
        assert rest is None or look(marks, told, rest - 10**12).alert is None
        return
    assert min(rooms) >= 0
    assert look(marks, told, rest - min(rooms)).alert is None
    assert look(marks, told, rest - min(rooms) - 1).alert is not None
