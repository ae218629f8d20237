"""The real tray beside the real gateway on the sandbox, seen and used as its owner would."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from app.sandbox import Sandbox
from tests.tray.desktop.desktop import Desktop
from tests.tray.desktop.whole import Place, Tray, running_place, running_tray, serving
from tests.tray.places import foreign_server
from tests.waiting import eventually

BLUE, ORANGE, VERMILION = (0x00, 0x72, 0xB2, 255), (0xE6, 0x9F, 0x00, 255), (0xD5, 0x5E, 0x00, 255)
CREDITS_PAGE = "https://openrouter.ai/settings/credits"


@pytest.fixture
def place(display: str, sandbox: Sandbox, tmp_path: Path) -> Iterator[Place]:
    """A gateway whose account holds $5.20."""
    sandbox.account(total_credits="25", total_usage="19.80")
    # The balance counts as fresh for a second, so that it shows when OpenRouter cannot be asked.
    with running_place(tmp_path / "state", sandbox, OPENROUTER_CACHE_TTL_CREDITS="1000") as running:
        yield running


@pytest.fixture
def start_tray(desktop: Desktop, place: Place) -> Iterator[Callable[..., Tray]]:
    """Starts the tray on the place's state folder; settings by their names."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_tray(desktop.environment, place.folder, **settings))


def _colour(desktop: Desktop, colour: tuple[int, ...]) -> None:
    """Wait until the icon has this colour, above its glyphs."""
    eventually(lambda: desktop.panel.picture().getpixel((32, 4)), lambda pixel: pixel == colour)


def _title(desktop: Desktop, text: str) -> None:
    """Wait until the title says this."""
    eventually(desktop.panel.title, lambda title: text in title)


def _titles(desktop: Desktop) -> list[str]:
    """What was announced so far, each message as often as it was."""
    return [notice.title for notice in desktop.notices.sent]


def test_an_episode_from_the_first_warning_to_the_top_up(
    desktop: Desktop, place: Place, start_tray: Callable[..., Tray]
) -> None:
    """Spending lowers the balance, turns the icon and brings one warning; Snooze silences, a top-up ends it."""
    tray = start_tray()
    _title(desktop, "$5.20 is left")
    _colour(desktop, BLUE)

    assert 200 == place.spend(3).status_code
    _title(desktop, "Little is left at OpenRouter: $4.90")
    _colour(desktop, ORANGE)
    (low,) = eventually(lambda: desktop.notices.sent)
    assert ("orgate", "Credits are low") == (low.app, low.title)
    assert "is left at OpenRouter" in low.body
    assert {"default", "top_up", "open", "snooze:1h"} == set(low.actions)

    assert 200 == place.spend(2).status_code
    _title(desktop, "$4.70")
    # Spending and balance are two questions: the answer to the one may be a look older than the other's.
    desktop.panel.row("Spent $0.50 today, $0.50 this month (UTC)")
    assert any("editor  $0.50" in line.text for line in desktop.panel.menu().walk())
    place.looked_at()
    assert ["Credits are low"] == _titles(desktop)

    desktop.notices.press(low.number, "snooze:1h")
    eventually(desktop.panel.texts, lambda texts: any(text.startswith("Snoozed until") for text in texts))
    place.sandbox.account(total_usage="24.50")
    desktop.panel.click("Refresh now")
    _colour(desktop, VERMILION)
    place.looked_at()
    assert ["Credits are low"] == _titles(desktop)

    desktop.panel.click("Top up…")
    eventually(tray.opened, lambda pages: pages == [CREDITS_PAGE])
    place.sandbox.account(total_credits="45")
    desktop.panel.click("Refresh now")
    _title(desktop, "$20.50 is left")
    _colour(desktop, BLUE)
    eventually(lambda: _titles(desktop), lambda titles: titles == ["Credits are low", "Top-up seen"])
    assert "Snooze warnings" in desktop.panel.texts()

    place.sandbox.account(total_usage="44.50")
    desktop.panel.click("Refresh now")
    _colour(desktop, VERMILION)
    eventually(lambda: _titles(desktop)[2:], lambda titles: titles == ["Almost no credits are left"])
    assert (0, "") == (tray.end()[0], tray.errors())
    assert [] == desktop.leftovers()


def test_a_warnings_button_opens_the_credits_page(
    desktop: Desktop, place: Place, start_tray: Callable[..., Tray]
) -> None:
    """One press, from the warning itself."""
    tray = start_tray()
    assert 200 == place.spend(3).status_code
    (low,) = eventually(lambda: desktop.notices.sent)

    desktop.notices.press(low.number, "top_up")

    eventually(tray.opened, lambda pages: pages == [CREDITS_PAGE])


def test_programs_are_paused_from_the_menu(desktop: Desktop, place: Place, start_tray: Callable[..., Tray]) -> None:
    """All of them, at once, until they are resumed."""
    start_tray()
    _title(desktop, "$5.20 is left")

    desktop.panel.click("Pause all programs")
    desktop.panel.row("Resume all programs")
    assert "paused" in place.spend(1).text
    _title(desktop, "All programs are paused")

    desktop.panel.click("Resume all programs")
    desktop.panel.row("Pause all programs")
    assert 200 == place.spend(1).status_code


def test_a_gateway_that_is_killed_and_started_again(
    desktop: Desktop, place: Place, start_tray: Callable[..., Tray]
) -> None:
    """Offline, one message, no crash; and back, with the message gone, as soon as it is back."""
    tray = start_tray()
    _title(desktop, "$5.20 is left")

    place.running.process.kill()
    _title(desktop, "The gateway is not running")
    assert "Start the gateway" in desktop.panel.texts()
    (down,) = eventually(lambda: desktop.notices.sent)
    assert "The gateway is down" == down.title
    assert tray.process.poll() is None

    with serving(place.folder, place.sandbox):
        _title(desktop, "$5.20 is left")
        _colour(desktop, BLUE)
        eventually(lambda: desktop.notices.closed, lambda closed: closed == [down.number])
        assert ["The gateway is down"] == _titles(desktop)


def test_a_gateway_that_is_started_and_stopped_from_the_menu(
    desktop: Desktop, place: Place, start_tray: Callable[..., Tray]
) -> None:
    """Its own gateway is soon there, gone as soon, and neither is news; it outlives a tray that is quit."""
    place.running.stop()
    tray = start_tray(ORGATE_PORT="0", OPENROUTER_BASE_URL=place.sandbox.url)
    _title(desktop, "The gateway is not running")

    desktop.panel.click("Start the gateway")
    _title(desktop, "$5.20 is left")
    desktop.panel.click("Stop the gateway")
    _title(desktop, "The gateway is not running")
    desktop.panel.click("Start the gateway")
    _title(desktop, "$5.20 is left")
    assert [] == _titles(desktop)

    desktop.panel.click("Quit")
    assert 0 == tray.process.wait(20)
    left = json.loads((place.folder / "gateway.json").read_text())
    assert 204 == requests.get(f"{left['base_url']}/healthz", timeout=10).status_code
    os.kill(left["pid"], signal.SIGTERM)
    eventually(lambda: not (place.folder / "gateway.json").exists())


def test_what_a_crashed_gateway_left_is_nobody(desktop: Desktop, place: Place, start_tray: Callable[..., Tray]) -> None:
    """With its process id and its port in other hands the gateway is not running, and can be started."""
    place.running.process.kill()
    place.running.process.wait(20)
    with foreign_server(200) as other:
        (place.folder / "gateway.json").write_text(json.dumps({"base_url": other.url, "pid": os.getpid()}))
        tray = start_tray()

        _title(desktop, "The gateway is not running")
        assert "Start the gateway" in desktop.panel.texts()
        assert "authorization" not in str(other.headers).lower()

        with serving(place.folder, place.sandbox):
            _title(desktop, "$5.20 is left")
            assert [] == _titles(desktop)
    assert tray.process.poll() is None


def test_a_token_that_is_refused(desktop: Desktop, place: Place, start_tray: Callable[..., Tray]) -> None:
    """It is said what to do, no figure is made up, and nobody is alarmed; a good one mends it."""
    file = place.folder / "token"
    good = file.read_text()
    file.write_text("nonsense")
    start_tray()

    _title(desktop, "The gateway refuses the tray's token")
    assert not any("$" in text for text in desktop.panel.texts())
    desktop.panel.click("Refresh now")

    file.write_text(good)
    desktop.panel.click("Refresh now")
    _title(desktop, "$5.20 is left")
    place.looked_at()
    assert [] == _titles(desktop)


def test_openrouter_cannot_be_reached(desktop: Desktop, tmp_path: Path) -> None:
    """The last figures stay, marked as old, and nobody is alarmed; then they are fresh again."""
    with (
        Sandbox() as sandbox,
        running_place(tmp_path / "state", sandbox, OPENROUTER_CACHE_TTL_CREDITS="1000") as place,
        running_tray(desktop.environment, place.folder),
    ):
        _title(desktop, "$17.58 is left")

        sandbox.stop()
        _title(desktop, "OpenRouter cannot be reached")
        assert any("$17.58 left of $25.00, as of" in text for text in desktop.panel.texts())
        sandbox.start()
        desktop.panel.click("Refresh now")

        _title(desktop, "$17.58 is left")
        assert [] == _titles(desktop)


def test_quit_ends_the_tray_and_not_the_gateway(
    desktop: Desktop, place: Place, start_tray: Callable[..., Tray]
) -> None:
    """It did not start it."""
    tray = start_tray()

    desktop.panel.click("Quit")

    assert 0 == tray.process.wait(20)
    assert [] == desktop.leftovers()
    assert 200 == place.spend(1).status_code


def test_only_one_at_a_time(desktop: Desktop, place: Place, start_tray: Callable[..., Tray]) -> None:
    """The second says so and leaves the first alone."""
    first = start_tray()
    _title(desktop, "$5.20 is left")

    second = start_tray()

    assert 4 == second.process.wait(20)
    assert "already" in second.errors()
    assert 0 == first.end(signal.SIGINT)[0]
