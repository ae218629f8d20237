from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.quick import quick
from tests.tray.builders import MARKS, failed, reading, seen, usage
from tray.figures import Health
from tray.reading import Trouble
from tray.state import Amount, State, judge, level


@pytest.mark.parametrize(
    ("left", "marks", "expected"),
    [
        ("17", "5,1", State.OK),
        ("5", "5,1", State.OK),
        ("4.99", "5,1", State.LOW),
        ("1", "5,1", State.LOW),
        ("0.99", "5,1", State.CRITICAL),
        ("12", "20,10,1", State.LOW),
        ("4", "5", State.LOW),
        ("0", "5", State.CRITICAL),
        ("0.01", "", State.OK),
        ("-1", "", State.CRITICAL),
    ],
)
def test_level(left: str, marks: str, expected: State) -> None:
    """Below a mark it is low; below the lowest of several, and with nothing left, it is critical."""
    assert expected is level(Decimal(left), tuple(map(Decimal, filter(None, marks.split(",")))))


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Trouble.DOWN, State.OFFLINE),
        (Trouble.SILENT, State.OFFLINE),
        (Trouble.FOREIGN, State.OFFLINE),
        (Trouble.NO_KEY, State.NO_KEY),
        (Trouble.KEY_REFUSED, State.NO_KEY),
        (Trouble.NO_TOKEN, State.NO_KEY),
        (Trouble.TOKEN_REFUSED, State.NO_KEY),
        (Trouble.UNREACHABLE, State.STALE),
        (Trouble.REFUSED, State.STALE),
    ],
)
def test_trouble_keeps_the_figures(trouble: Trouble, expected: State) -> None:
    """Trouble changes the state and keeps the figures that were known."""
    snapshot = seen(reading("4.20"), failed(trouble))

    assert expected is snapshot.state
    assert Amount(Decimal("4.20"), is_cap=False) == snapshot.amount
    assert State.LOW is snapshot.level
    assert 2 == seen(reading("4.20"), failed(trouble), failed(trouble)).misses


def test_stale_figures() -> None:
    """Figures that the gateway calls stale mean that OpenRouter cannot be reached."""
    snapshot = seen(reading("17", stale=True))

    assert (State.STALE, Trouble.UNREACHABLE) == (snapshot.state, snapshot.trouble)


def test_cap_is_no_balance() -> None:
    """With an unknown balance the key's cap is shown, as a cap."""
    assert Amount(Decimal(3), is_cap=True) == seen(reading(None, cap=("3", "100"))).amount
    assert State.LOW is seen(reading(None, cap=("3", "100"))).state
    assert seen(reading(None)).amount is None
    assert State.OK is seen(reading(None)).state


def test_what_ends_first() -> None:
    """With both known the balance is shown, unless it is the cap that warns."""
    assert Amount(Decimal(17), is_cap=False) == seen(reading("17", cap=("8", "10"))).amount
    assert Amount(Decimal("0.4"), is_cap=True) == seen(reading("17", cap=("0.4", "10"))).amount
    assert State.CRITICAL is seen(reading("17", cap=("0.4", "10"))).state


def test_small_cap_is_not_low() -> None:
    """A cap that is smaller than a mark when it is full does not warn of itself."""
    assert State.OK is seen(reading(None, cap=("2", "2"))).state


def test_refused_for_money() -> None:
    """With an unknown balance a refusal for want of money is critical; a known balance says more."""
    refused = Health(None, "payment_required", ())

    assert State.CRITICAL is seen(reading(None, health=refused)).state
    assert State.OK is seen(reading("17", health=refused)).state
    assert State.OK is seen(reading(None, health=Health(None, "upstream_key_refused", ()))).state


def test_paused() -> None:
    """All programs paused is a state; one paused program is not, and a gateway that is gone comes first."""
    everything = reading(today=usage(paused=frozenset({"*"})))

    assert State.PAUSED is seen(everything).state
    assert State.OK is seen(reading(today=usage(paused=frozenset({"editor"})))).state
    assert State.OFFLINE is seen(everything, failed(Trouble.DOWN)).state


def test_marks_of_the_gateway_win() -> None:
    """The gateway's marks are used where it tells them, also when it tells that there are none."""
    assert State.LOW is seen(reading("17", marks=(Decimal(20), Decimal(2)))).state
    assert State.OK is seen(reading("0.5", marks=())).state


@pytest.mark.parametrize("after", [failed(Trouble.UNREACHABLE), failed(Trouble.DOWN), reading("17.58", stale=True)])
def test_after_sleep(after: object) -> None:
    """Just after sleep nothing is called stale or gone; the snapshot before stands until something fresh comes."""
    before = seen(reading())

    assert before is judge(after, before, MARKS, just_woke=True)  # type: ignore[arg-type]
    assert State.LOW is judge(reading("4"), before, MARKS, just_woke=True).state


readings = st.one_of(
    st.sampled_from(list(Trouble)).map(failed),
    st.builds(
        lambda left, stale, paused: reading(
            left, stale=stale, today=usage(paused=frozenset({"*"}) if paused else frozenset())
        ),
        st.none() | st.decimals(-5, 50, places=2).map(str),
        st.booleans(),
        st.booleans(),
    ),
)


@quick
@given(st.lists(readings, min_size=1, max_size=8))
def test_any_history(history: list[object]) -> None:
    """OK, low and critical are only said of figures of now, and trouble is only said while there is some."""
    snapshot = seen(*history)  # type: ignore[arg-type]

    assert (snapshot.misses == 0) == (snapshot.trouble is None)
    if snapshot.state in (State.OK, State.LOW, State.CRITICAL):
        assert snapshot.trouble is None
        assert snapshot.state is snapshot.level
    if snapshot.state in (State.OFFLINE, State.NO_KEY):
        assert snapshot.reading.trouble is not None
