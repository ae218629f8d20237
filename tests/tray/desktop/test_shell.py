"""The icon and its menu, on a desktop without a screen."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tray.desktop.desktop import Desktop
from tests.tray.desktop.probes import Probe
from tests.waiting import PATIENCE_S, eventually
from tray.surroundings import hidden_icons

BLUE, ORANGE = (0, 114, 178, 255), (230, 159, 0, 255)
ROWS = (
    {"text": "$12.34 left", "action": "open"},
    {"text": "Paused", "action": "pause", "checked": True},
    "-",
    {"text": "By app", "children": [{"text": "my_app & co", "action": "pause:my_app"}, {"text": "other"}]},
    {"text": "Quit", "action": "quit"},
)


@pytest.fixture
def probe(start_probe: Callable[..., Probe]) -> Probe:
    """A probe that shows the rows, and is ready."""
    running = start_probe(PROBE_ROWS=json.dumps(ROWS))
    assert running.told("ready")
    return running


def test_the_icon_has_the_very_pixels(desktop: Desktop, probe: Probe) -> None:
    """The panel reads what was drawn, and is told when it changes."""
    probe.show("#0072B2", "one")

    eventually(lambda: desktop.panel.picture().getpixel((32, 32)), lambda pixel: pixel == BLUE)

    probe.show("#E69F00", "one")

    eventually(lambda: desktop.panel.picture().getpixel((32, 32)), lambda pixel: pixel == ORANGE)
    assert (64, 64) == desktop.panel.picture().size


def test_the_title_follows(desktop: Desktop, probe: Probe) -> None:
    """The panel's tooltip is the last title."""
    probe.show("white", "orgate: $12.34 left")

    eventually(desktop.panel.title, lambda title: title == "orgate: $12.34 left")
    assert ("orgate", "Active") == (desktop.panel.property("Id"), desktop.panel.property("Status"))


def test_rows_are_as_they_were_given(desktop: Desktop, probe: Probe) -> None:
    """Texts, separators, marks and submenus arrive whole, and every row can be chosen."""
    eventually(desktop.panel.texts, lambda texts: texts == ["$12.34 left", "Paused", "-", "By app", "Quit"])

    menu = desktop.panel.menu()

    assert [None, True, None, None, None] == [line.checked for line in menu.children]
    assert ["my_app & co", "other"] == [line.text for line in menu.children[3].children]
    assert all(line.enabled for line in menu.walk())


@pytest.mark.parametrize(("text", "action"), [("Quit", "quit"), ("my_app & co", "pause:my_app"), ("other", "")])
def test_a_click_is_heard(desktop: Desktop, probe: Probe, text: str, action: str) -> None:
    """The row's action comes back, also from a submenu, and "" from a row that only tells something."""
    desktop.panel.click(text)

    assert action == probe.told("action")


def test_a_mark_stays_what_the_program_said(desktop: Desktop, probe: Probe) -> None:
    """A click does not change a mark by itself: what was asked for may not have come about."""
    desktop.panel.click("Paused")

    assert "pause" == probe.told("action")
    eventually(lambda: desktop.panel.row("Paused").checked, lambda checked: checked is True)

    changed = [{**row, "checked": False} if row != "-" and "checked" in row else row for row in ROWS]
    probe.show("white", "starting", *changed)

    eventually(lambda: desktop.panel.row("Paused").checked, lambda checked: checked is False)


def test_the_menu_is_written_only_when_its_rows_changed(desktop: Desktop, probe: Probe) -> None:
    """An open menu would close each time: a new picture, a new title or a click leave it alone."""
    desktop.panel.row("Quit")
    before = [line.number for line in desktop.panel.menu().walk()], desktop.panel.registrations

    for count in range(20):
        probe.show("#0072B2" if count % 2 else "#E69F00", f"title {count}", *ROWS)
    desktop.panel.click("Quit")
    assert "quit" == probe.told("action")
    eventually(desktop.panel.title, lambda title: title == "title 19")

    assert before == ([line.number for line in desktop.panel.menu().walk()], desktop.panel.registrations)

    probe.show("white", "title 19", *ROWS, {"text": "One more"})

    desktop.panel.row("One more")
    assert before[1] + 1 == eventually(lambda: desktop.panel.registrations, lambda count: count > before[1])


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(desktop: Desktop, probe: Probe, sign: signal.Signals) -> None:
    """Exit code 0, within a moment, and no picture left on the disk."""
    probe.send("low", "Low")
    assert desktop.leftovers()

    code, took_s = probe.end(sign)

    assert 0 == code
    assert took_s < 3
    assert [] == desktop.leftovers()


def test_it_stops_when_told(desktop: Desktop, probe: Probe) -> None:
    """`stop` from another thread ends `run`."""
    probe.do("stop")

    assert (0, True) == (probe.end()[0], probe.told("stopped"))
    assert [] == desktop.leftovers()


def test_it_stops_without_a_notification_daemon(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """pystray would end with an error there."""
    desktop.stop_notices()
    probe = start_probe()
    assert probe.told("ready")

    code, _ = probe.end(signal.SIGTERM)

    assert (0, True) == (code, probe.told("stopped"))


def test_what_a_killed_one_left_is_cleaned_by_the_next(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """Only a killed process leaves its picture behind, and only until the next start."""
    first = start_probe()
    assert first.told("ready")
    desktop.panel.picture()
    first.end(signal.SIGKILL)
    left = desktop.leftovers()
    assert left

    second = start_probe()
    assert second.told("ready")

    assert not set(left) & set(desktop.leftovers())


def test_two_at_once_leave_each_other_alone(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """The cleaning takes nothing from an icon that is shown."""
    assert start_probe().told("ready")
    first = desktop.panel.property("IconName")
    assert start_probe().told("ready")
    eventually(lambda: desktop.panel.property("IconName"), lambda name: name not in ("", first))

    assert first in desktop.leftovers()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DISPLAY": None}, ["DISPLAY", "orgate-tray --watch"]),
        ({"DBUS_SESSION_BUS_ADDRESS": None}, ["session bus", "dbus-run-session"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}, ["session bus", "dbus-run-session"]),
        ({"DBUS_SESSION_BUS_ADDRESS": "nonsense"}, ["session bus"]),
        ({"PYTHONPATH": None, "PYSTRAY_BACKEND": None}, ["no menu", "--system-site-packages", "gir1.2-ayatana"]),
        ({"DISPLAY": ":12345"}, ["AppIndicator", "orgate-tray --watch"]),
    ],
    ids=["no display", "no bus", "dead bus", "no address", "no gi", "dead display"],
)
def test_without_a_tray_it_says_how_to_get_one(
    start_probe: Callable[..., Probe], changes: dict[str, str | None], words: list[str]
) -> None:
    """The reason and the fix, at once, and no process that hangs."""
    start = time.monotonic()
    probe = start_probe(**changes)

    message = probe.told("no_tray")

    assert 3 == probe.end()[0]
    assert time.monotonic() - start < 10
    assert all(word in message for word in words), message


def test_a_panel_that_starts_later(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """At login the tray may be there first; the panel shows it as it is by then."""
    desktop.stop_panel()
    probe = start_probe(PROBE_ROWS=json.dumps(ROWS))
    assert probe.told("ready")
    probe.show("#0072B2", "before the panel", *ROWS)

    desktop.start_panel()

    eventually(desktop.panel.title, lambda title: title == "before the panel")
    assert BLUE == desktop.panel.picture().getpixel((32, 32))
    desktop.panel.click("Quit")
    assert "quit" == probe.told("action")


def test_a_panel_that_starts_anew(desktop: Desktop, probe: Probe) -> None:
    """After a crash of the panel the icon is back, and is written and clicked as before."""
    desktop.panel.row("Quit")

    desktop.restart_panel()

    probe.show("#E69F00", "after", *ROWS)
    eventually(desktop.panel.title, lambda title: title == "after")
    desktop.panel.click("Quit")
    assert "quit" == probe.told("action")


def test_a_session_that_ends_takes_the_program_with_it(desktop: Desktop, probe: Probe) -> None:
    """Without its bus an icon cannot be shown: the process ends by itself, soon, and leaves nothing."""
    probe.send("low", "Low")
    eventually(lambda: desktop.notices.sent)

    desktop.end_session()

    assert 0 == probe.end()[0]
    assert [] == desktop.leftovers()


def test_gnome_is_told_what_shows_its_icons(desktop: Desktop) -> None:
    """Only where nothing does."""
    gnome = {**desktop.environment, "XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}
    assert "" == hidden_icons(gnome)

    desktop.watcher.close()

    assert "extensions.gnome.org" in eventually(lambda: hidden_icons(gnome))


def test_the_bus_is_found_where_systemd_puts_it(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """A program that was not told the address finds the bus in the user's runtime folder."""
    (desktop.folder / "runtime" / "bus").symlink_to(desktop.folder / "bus" / "bus")
    probe = start_probe(DBUS_SESSION_BUS_ADDRESS=None)
    assert probe.told("ready")

    probe.send("low", "Low")

    assert "Low" == eventually(lambda: desktop.notices.sent)[0].title


def test_a_stop_before_the_start_is_not_forgotten(desktop: Desktop, start_probe: Callable[..., Probe]) -> None:
    """A signal that comes when the icon's folder is there, and one when its picture is, end it with nothing left."""
    for files in (1, 2) * 5:
        probe = start_probe()
        end = time.monotonic() + PATIENCE_S
        while len(desktop.leftovers()) < files:  # without a pause: the moment is short
            assert time.monotonic() < end
        code, took_s = probe.end(signal.SIGTERM)

        assert (0, []) == (code, desktop.leftovers())
        assert took_s < 5


def test_changes_cost_nothing_that_stays(desktop: Desktop, probe: Probe) -> None:
    """As many changes as there are looks in a day leave memory, threads and open files where they were."""
    # GTK's and Python's own stores fill up first.
    _change(desktop, probe, 480)
    before = _held(desktop, probe)

    _change(desktop, probe, 1440)

    after = _held(desktop, probe)
    assert after.files - before.files <= 2
    assert after.threads - before.threads <= 2
    assert after.memory_kb - before.memory_kb < 4000
    assert len(desktop.leftovers()) <= 2, "the folder and the picture in it"


def _change(desktop: Desktop, probe: Probe, times: int) -> None:
    """New pictures and titles each time, and from time to time new rows and a message."""
    for count in range(times):
        rows = [*ROWS, {"text": f"row {count // 20}"}]
        probe.show(f"hsl({count % 360}, 80%, 40%)", f"title {count}", *rows)
        if count % 20 == 0:
            probe.send("low", f"Low {count}")
            _settle(desktop, probe)


@dataclass(frozen=True)
class _Held:
    """What a process holds."""

    memory_kb: int
    files: int
    threads: int


def _settle(desktop: Desktop, probe: Probe) -> None:
    """Wait until it has done what it was told."""
    title = f"settled {time.monotonic()}"
    probe.show("white", title, *ROWS)
    eventually(desktop.panel.title, lambda seen: seen == title)


def _held(desktop: Desktop, probe: Probe) -> _Held:
    """What the probe holds when it has nothing to do."""
    _settle(desktop, probe)
    process = Path("/proc", str(probe.process.pid))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return _Held(int(status["VmRSS"].split()[0]), len(list((process / "fd").iterdir())), int(status["Threads"]))
