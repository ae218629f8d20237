from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.quick import quick
from tests.tray.builders import AT, NOW, failed, reading, seen, usage
from tray.figures import Health
from tray.reading import Trouble
from tray.rows import Choices, Row, bar, rows, texts
from tray.state import Snapshot

RICH = reading(
    "17.58",
    cap=("3.20", "5", "daily"),
    per_hour="0.12",
    ends_at=AT + 6 * 86_400,
    free=(2, 50, 48),
    today=usage(
        {"my-editor": "0.31", "my_agent": "0.11"},
        budgets=(("my_agent", "day", "5", "4.89"), ("batch", "month", "9", "0")),
        paused=frozenset({"batch"}),
    ),
)


def row(snapshot: Snapshot, action: str, choices: Choices | None = None) -> Row | None:
    """The row with this action, wherever it is in the menu."""
    menu = rows(snapshot, choices or Choices(), NOW)
    return next((one for top in menu for one in (top, *top.children) if one.action == action), None)


def test_whole_menu() -> None:
    """The menu tells the money, the spending, the pace and who spent it, and offers all that can be done."""
    told = texts(rows(seen(RICH), Choices(at_login=True, can_stop=True, problem="13:00 it broke"), NOW))

    assert """\
$17.58 left of $25.00
Key cap: $3.20 of $5.00 left, new every day
Spent $0.42 today, $0.42 this month (UTC)
Pace: $0.12 an hour; lasts until about 28 Nov
48 of 50 free requests left today
Spent by program today
  ▰▰▰▰▰▰▱▱ my-editor  $0.31
  ▰▰▱▱▱▱▱▱ my_agent  $0.11 ($4.89 of its budget left)
Last problem: 13:00 it broke
Resume paused programs
Pause all programs
Pause one program
  ✓ batch
  my-editor
  my_agent
End running calls
Refresh now
Top up…
Open dashboard
Copy address
Stop the gateway
✓ Start at login
Snooze warnings
  For an hour
  Until tomorrow
  Until the next top-up
Hide amounts
Quit""" == "\n".join(told)


def test_actions() -> None:
    """Choosing a program pauses it, or lets it go on where it is paused."""
    snapshot = seen(RICH)

    assert row(snapshot, "pause:my-editor") == Row("my-editor", "pause:my-editor", checked=False)
    assert row(snapshot, "resume:batch") == Row("batch", "resume:batch", checked=True)
    assert row(snapshot, "pause") is not None
    assert row(seen(reading(today=usage(paused=frozenset({"*"})))), "pause") is None


def test_gateway_down() -> None:
    """Without a gateway the menu says so first, offers to start one, and nothing that only one could do."""
    snapshot = seen(RICH, failed(Trouble.DOWN))
    menu = rows(snapshot, Choices(can_start=True), NOW)

    assert "The gateway is not running. Start it with: orgate serve" == menu[0].text
    assert "$17.58 left of $25.00, as of 14:05" == menu[1].text
    assert row(snapshot, "start", Choices(can_start=True)) is not None
    assert [None, None, None] == [row(snapshot, action) for action in ("start", "pause", "end")]


@pytest.mark.parametrize(("left", "text"), [("4.2", "Low credits: top up…"), ("0.4", "Almost no credits: top up…")])
def test_low_is_a_row_too(left: str, text: str) -> None:
    """Where no message can be shown, the first row carries it."""
    assert Row(text, "top_up") == rows(seen(reading(left)), Choices(), NOW)[0]


def test_unknown_balance() -> None:
    """With an unknown balance the cap is told as a cap, and without one that nothing is known."""
    capped, unknown = seen(reading(None, cap=("3", "5"))), seen(reading(None))

    assert "Key cap: $3.00 of $5.00 left" == rows(capped, Choices(), NOW)[0].text
    assert "Balance not told to this key, which has no cap" == rows(unknown, Choices(), NOW)[0].text


def test_hidden_amounts() -> None:
    """With amounts hidden no row tells one."""
    told = texts(rows(seen(RICH), Choices(hide_amounts=True), NOW))

    assert not any("$" in line for line in told)
    assert "✓ Hide amounts" in told


def test_snoozed() -> None:
    """While warnings are snoozed the menu says until when, and one click ends it."""
    assert Row("Snoozed until 15:05: warn again", "snooze:off") == row(
        seen(reading()), "snooze:off", Choices(snoozed="until 15:05")
    )


def test_rows_stand_still() -> None:
    """While nothing happens no row changes, though the figures are asked for anew and time goes by."""
    later = replace(RICH, at=AT + 600, credits=replace(RICH.credits, as_of=AT + 580, ends_at=AT + 6 * 86_400 + 570))  # type: ignore[type-var]

    assert rows(seen(RICH), Choices(), NOW) == rows(seen(RICH, later), Choices(), NOW + timedelta(minutes=10))


def test_many_programs() -> None:
    """Of very many programs the dearest are listed, and the rest is summed up."""
    snapshot = seen(reading(today=usage({f"app{number:02}": "1.00" for number in range(30)})))
    submenu = next(one for one in rows(snapshot, Choices(), NOW) if one.text == "Spent by program today")

    assert 13 == len(submenu.children)
    assert "18 more  $18.00" == submenu.children[-1].text


def test_health_is_not_needed() -> None:
    """A gateway that cannot tell its spending still has a menu, without the rows about it."""
    bare = replace(reading(), today=None, month=None, health=Health("The catalogue is out of date.", None, ()))

    assert not any("Spent" in line or "Pause" in line for line in texts(rows(seen(bare), Choices(), NOW)))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)


@quick
@given(
    st.dictionaries(names, st.decimals(0, 1000, places=3).map(str), max_size=20), st.text(max_size=400), st.booleans()
)
def test_any_texts(spent: dict[str, str], problem: str, hidden: bool) -> None:
    """Whatever programs call themselves, rows are short and not empty."""
    snapshot = seen(reading(today=usage(spent)))
    for one in rows(snapshot, Choices(hide_amounts=hidden, problem=problem), NOW):
        for inner in (one, *one.children):
            assert 0 < len(inner.text) <= 80


@quick
@given(st.decimals(0, 1, places=6))
def test_bar(part: Decimal) -> None:
    """A bar is always as long, and what is more than nothing shows."""
    assert 8 == len(bar(part))
    assert (part > 0) == ("▰" in bar(part))
