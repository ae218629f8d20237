"""Messages on a desktop without a screen, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.tray.desktop.bus import Refusals
from tests.tray.desktop.desktop import Desktop
from tests.tray.desktop.notices import NoticeBoard
from tests.tray.desktop.probes import Probe
from tests.waiting import eventually

BUTTONS = (("topup", "Top up"), ("snooze:1h", "Snooze"))


@pytest.fixture
def probe(start_probe: Callable[..., Probe]) -> Probe:
    """A probe that is ready."""
    running = start_probe()
    assert running.told("ready")
    return running


def test_a_message_is_shown_as_it_was_given(desktop: Desktop, probe: Probe) -> None:
    """Name, texts, buttons, urgency and the icon's own picture; what looks like markup stays text."""
    probe.show("#D55E00", "orgate: $0.80 left")
    probe.send("low", "Low credits", "$0.80 < $1 & falling", buttons=BUTTONS, urgency="critical")

    (notice,) = eventually(lambda: desktop.notices.sent)

    assert ("orgate", "dialog-warning") == (notice.app, notice.icon)
    assert ("Low credits", "$0.80 &lt; $1 &amp; falling") == (notice.title, notice.body)
    assert {"default": "", "topup": "Top up", "snooze:1h": "Snooze"} == notice.actions
    assert 2 == notice.hints["urgency"]
    width, height, stride, alpha, bits, channels, pixels = notice.hints["image-data"]
    assert (64, 64, 256, True, 8, 4) == (width, height, stride, alpha, bits, channels)
    assert bytes((0xD5, 0x5E, 0x00, 0xFF)) == bytes(pixels[:4])


def test_the_same_key_takes_the_place_of_the_one_before(desktop: Desktop, probe: Probe) -> None:
    """A reminder does not pile up; another key is another message."""
    probe.send("low", "Low")
    probe.send("low", "Lower")
    probe.send("down", "Down")

    eventually(lambda: len(desktop.notices.sent), lambda count: count == 3)

    assert ["Lower", "Down"] == [notice.title for notice in desktop.notices.shown.values()]
    assert 1 == desktop.notices.asked_capabilities


def test_a_new_one_is_shown_after_the_old_one_was_dismissed(desktop: Desktop, probe: Probe) -> None:
    """A number that is gone is not used again."""
    probe.send("low", "Low")
    (first,) = eventually(lambda: desktop.notices.sent)

    desktop.notices.dismiss(first.number)
    # What is told in this order is heard in this order.
    probe.send("low", "Lower")
    probe.send("low", "Lowest")

    _, second, third = eventually(lambda: desktop.notices.sent, lambda sent: len(sent) == 3)
    assert second.replaces in (0, first.number)
    assert second.number == third.replaces


@pytest.mark.parametrize(("pressed", "heard"), [("topup", "topup"), ("snooze:1h", "snooze:1h"), ("default", "topup")])
def test_a_pressed_button_is_heard(desktop: Desktop, probe: Probe, pressed: str, heard: str) -> None:
    """Once, with its action; the message itself counts as the first button."""
    probe.send("low", "Low", buttons=BUTTONS)
    (notice,) = eventually(lambda: desktop.notices.sent)

    desktop.notices.press(notice.number, pressed)

    assert heard == probe.told("pressed")
    probe.send("other", "Other")
    eventually(lambda: len(desktop.notices.sent), lambda count: count == 2)
    assert probe.quiet("pressed")


def test_other_programs_buttons_are_not_ours(desktop: Desktop, probe: Probe) -> None:
    """The daemon tells everybody of every press."""
    probe.send("low", "Low", buttons=BUTTONS)
    (notice,) = eventually(lambda: desktop.notices.sent)

    desktop.notices.press(notice.number + 1, "topup")
    desktop.notices.press(notice.number, "unknown")
    probe.send("other", "Other")
    eventually(lambda: len(desktop.notices.sent), lambda count: count == 2)

    assert probe.quiet("pressed")


def test_a_message_can_be_taken_away(desktop: Desktop, probe: Probe) -> None:
    """By its key; a key that is not shown is no matter."""
    probe.send("low", "Low")
    probe.do("close", "low")
    probe.do("close", "low")
    probe.do("close", "never")

    eventually(lambda: desktop.notices.closed, lambda closed: closed == [1])


def test_without_buttons_the_link_stands_in_the_text(desktop: Desktop, probe: Probe) -> None:
    """Some daemons show no buttons, and some no markup."""
    desktop.stop_notices()
    desktop.start_notices(capabilities=("body",))
    probe.send("low", "Low", "a < b", buttons=BUTTONS)

    (notice,) = eventually(lambda: desktop.notices.sent)

    assert {} == notice.actions
    assert "a < b\nTop up: https://openrouter.ai/settings/credits" == notice.body


def test_a_message_waits_for_a_daemon_that_starts_later(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """At login the tray may be there first; of one key only the last message is shown, and none that was taken back."""
    desktop.stop_notices()
    probe = start_probe()
    assert probe.told("ready")
    with closing(Refusals(desktop.address, NoticeBoard.name)) as refusals:
        probe.send("low", "Low", buttons=BUTTONS)
        probe.send("low", "Lower", buttons=BUTTONS)
        probe.send("down", "Down")
        probe.do("close", "down")
        eventually(refusals.count, lambda count: count == 3)

    board = desktop.start_notices()

    assert ["Lower"] == [notice.title for notice in eventually(lambda: board.sent)]
    board.press(board.sent[0].number, "topup")
    assert "topup" == probe.told("pressed")


def test_a_daemon_may_start_anew(desktop: Desktop, probe: Probe) -> None:
    """The new one's numbers mean other messages, and it may be able to do other things."""
    probe.send("low", "Low", buttons=BUTTONS)
    eventually(lambda: desktop.notices.sent)
    desktop.stop_notices()
    board = desktop.start_notices(capabilities=("body",), first=70)

    probe.send("low", "Lower", buttons=BUTTONS)

    eventually(lambda: [(notice.title, notice.actions) for notice in board.sent], lambda sent: ("Lower", {}) in sent)


def test_a_daemon_that_never_answers_holds_nobody_up(desktop: Desktop, probe: Probe) -> None:
    """The caller goes on at once, the icon too, and the end takes no longer than a moment."""
    desktop.stop_notices()
    board = desktop.start_notices()
    board.hang()

    start = time.monotonic()
    for count in range(20):
        probe.send(f"key{count}", "Low")
    probe.show("white", "still alive")
    eventually(desktop.panel.title, lambda title: title == "still alive")
    probe.do("stop")

    assert 0 == probe.end()[0]
    assert time.monotonic() - start < 5


def test_a_stop_takes_the_messages_away(desktop: Desktop, probe: Probe) -> None:
    """Nobody would hear their buttons any more."""
    probe.send("low", "Low", buttons=BUTTONS)
    probe.send("down", "Down")
    eventually(lambda: len(desktop.notices.sent), lambda count: count == 2)

    probe.do("stop")
    assert 0 == probe.end()[0]

    eventually(lambda: desktop.notices.shown, lambda shown: not shown)
