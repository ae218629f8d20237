"""Messages where there is no D-Bus; the desktop tests see those that go over it."""

from __future__ import annotations

import queue
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tray import notify
from tray.notify import Notifier, Silent, notifier, with_links
from tray.notify_plain import PlainNotifier, osascript
from tray.notify_portable import PortableNotifier

BUTTONS = (("top_up", "Top up"), ("snooze", "Snooze"))
LINKS = {"top_up": "https://openrouter.ai/settings/credits"}


class Kept:
    """A notifier that keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def send(self, *message: Any) -> None:
        """Keep a message."""
        self.asked.put(("send", *message))

    def close(self, key: str) -> None:
        """Keep that it shall go."""
        self.asked.put(("close", key))

    def stop(self) -> None:
        """Keep that it ends."""
        self.asked.put(("stop",))


class Library(ModuleType):
    """desktop-notifier as far as it is used, and what it was asked to do."""

    def __init__(self, *, able: bool = True, allowed: bool = True, broken: bool = False) -> None:
        super().__init__("desktop_notifier")
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        library = self

        class DesktopNotifier:
            def __init__(self, **names: Any) -> None:
                if broken:
                    raise RuntimeError("no WinRT here")

            async def get_capabilities(self) -> frozenset[str]:
                return frozenset({"message"} if able else set())

            async def request_authorisation(self) -> bool:
                return allowed

            async def send_notification(self, message: Any) -> None:
                library.done.put(message)

            async def clear(self, identifier: str) -> None:
                library.done.put(f"clear {identifier}")

            async def clear_all(self) -> None:
                library.done.put("clear all")

        self.DesktopNotifier = DesktopNotifier
        self.Capability = SimpleNamespace(MESSAGE="message")
        self.Urgency = str
        self.Button = lambda **facts: SimpleNamespace(**facts)
        self.Notification = lambda title, message, **facts: SimpleNamespace(title=title, message=message, **facts)


def test_desktop_notifier_is_handed_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its key, with buttons whose presses come back; the message itself counts as the first."""
    library, pressed = Library(), []
    monkeypatch.setitem(sys.modules, "desktop_notifier", library)
    portable = PortableNotifier(pressed.append, Kept())

    portable.send("low", "Low credits", "$0.80 left", BUTTONS, "critical")
    message = library.done.get(timeout=10)
    for press in (message.buttons[1].on_pressed, message.on_clicked):
        press()
    portable.close("low")
    portable.stop()

    assert ("low", "Low credits", "$0.80 left", "critical") == (
        message.identifier,
        message.title,
        message.message,
        message.urgency,
    )
    assert ["Top up", "Snooze"] == [button.title for button in message.buttons]
    assert ["snooze", "top_up"] == pressed
    assert ["clear low", "clear all"] == [library.done.get(timeout=10) for _ in range(2)]
    portable.send("late", "Nobody is there any more", "")
    portable.stop()


@pytest.mark.parametrize("fault", [{"able": False}, {"allowed": False}, {"broken": True}])
def test_where_desktop_notifier_would_show_nothing_the_fallback_shows_it(
    fault: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python that macOS does not know as a signed program is told so by nobody."""
    monkeypatch.setitem(sys.modules, "desktop_notifier", Library(**fault))
    fallback = Kept()
    portable = PortableNotifier(lambda action: None, fallback)

    portable.send("low", "Low credits", "$0.80 left", BUTTONS)
    portable.close("low")
    portable.stop()

    assert ("send", "low", "Low credits", "$0.80 left", BUTTONS, "normal") == fallback.asked.get(timeout=10)
    assert [("close", "low"), ("stop",)] == [fallback.asked.get(timeout=10) for _ in range(2)]


def test_plain_messages_say_where_the_buttons_led() -> None:
    """One after another, in a thread of their own; one that fails stops none."""
    shown: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def show(title: str, body: str) -> None:
        shown.put((title, body))
        if title == "one":
            raise OSError("no osascript")

    plain = PlainNotifier(show, LINKS)
    plain.send("a", "one", "text", BUTTONS)
    plain.send("b", "two", "text")
    plain.close("a")
    plain.stop()

    assert ("one", "text\nTop up: https://openrouter.ai/settings/credits") == shown.get(timeout=10)
    assert ("two", "text") == shown.get(timeout=10)
    assert not [thread for thread in threading.enumerate() if thread.name == "orgate-messages"]


def test_links_stand_only_for_buttons_that_have_one() -> None:
    """There is no address that snoozes."""
    assert "text" == with_links("text", (("snooze", "Snooze"),), LINKS)


def test_a_text_cannot_become_script() -> None:
    """Quotes and backslashes are arguments to the script, never part of it."""
    evil = '" & (do shell script "id") & "\\'

    command = osascript(evil, evil)

    assert [evil, evil] == command[3:]
    assert evil not in command[2]


def test_silence_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The icon and its menu say the same, so a line for each message would be too many."""
    silent = Silent()

    for _ in range(3):
        silent.send("low", "Low credits", "")
    silent.close("low")
    silent.stop()

    assert ["tray.messages_unavailable"] == [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("system", "has", "balloon", "kind"),
    [
        ("win32", {"desktop_notifier"}, True, PortableNotifier),
        ("win32", set(), True, PlainNotifier),
        ("win32", set(), False, Silent),
        ("darwin", {"desktop_notifier", "osascript"}, True, PortableNotifier),
        ("darwin", {"osascript"}, False, PlainNotifier),
        ("linux", set(), True, Silent),
    ],
)
def test_each_system_gets_the_best_it_has(
    system: str, has: set[str], balloon: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """desktop-notifier before osascript before the icon's own balloon before nothing."""
    monkeypatch.setattr(notify, "SYSTEM", system)
    monkeypatch.setattr(notify.importlib.util, "find_spec", lambda name: name if name in has else None)
    monkeypatch.setattr(notify.shutil, "which", lambda name: name if name in has else None)

    chosen: Notifier = notifier(lambda action: None, balloon=(lambda title, body: None) if balloon else None)

    assert isinstance(chosen, kind)
    chosen.stop()
