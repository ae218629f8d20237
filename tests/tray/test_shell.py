"""The shell's rules on a stand-in for pystray; the desktop tests see it on the real one."""

from __future__ import annotations

import importlib
import queue
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tray import shell as shell_module
from tray import surroundings
from tray.errors import NoTray
from tray.rows import SEPARATOR, Row
from tray.shell import Shell, is_template

BLUE = Image.new("RGBA", (8, 8), "blue")


class Icon:
    """pystray's icon as far as the shell reaches; its loop runs until it is stopped."""

    HAS_MENU = True
    breaks_in: str = ""
    made: list[Icon] = []

    def __init__(self, name: str, icon: Any, title: str, menu: Any) -> None:
        if self.breaks_in == "making":
            raise RuntimeError("no window")
        self.name, self.icon, self.title, self.menu = name, icon, title, menu
        self.visible = False
        self.told: list[tuple[str, str]] = []
        self._end = threading.Event()
        self._loops = threading.Event()
        self.setup_thread: threading.Thread | None = None
        self.made.append(self)

    def run(self, setup: Callable[[Any], None]) -> None:
        def wait_and_set_up() -> None:
            self._loops.wait()
            setup(self)

        self.setup_thread = threading.Thread(target=wait_and_set_up)
        self.setup_thread.start()
        if self.breaks_in == "starting":
            raise RuntimeError("no bus")
        self._mark_ready()
        self._end.wait(10)
        if self.breaks_in == "ending":
            raise RuntimeError("CloseNotification")

    def stop(self) -> None:
        self._end.set()

    def notify(self, message: str, title: str) -> None:
        self.told.append((title, message))

    def _mark_ready(self) -> None:
        self._loops.set()


class Menu(tuple):  # type: ignore[type-arg]
    """pystray's menu."""

    SEPARATOR = "----"

    def __new__(cls, *items: Any) -> Menu:
        return super().__new__(cls, items)


def _item(text: str, action: Any, checked: Any = None) -> SimpleNamespace:
    return SimpleNamespace(text=text, action=action, checked=checked)


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> type[Icon]:
    """The class of the icons that are made; all goes as on Windows, where nothing is asked of a desktop first."""

    class ThisIcon(Icon):
        made: list[Icon] = []

    pystray = SimpleNamespace(Icon=ThisIcon, Menu=Menu, MenuItem=_item)
    monkeypatch.setattr(shell_module, "_load", lambda: pystray)
    monkeypatch.setattr(shell_module, "SYSTEM", "win32")
    return ThisIcon


def _run(shell: Shell, on_ready: Callable[[], None], on_action: Callable[[str], None] = lambda action: None) -> None:
    """Run until `on_ready` has returned or stopped it."""

    def ready() -> None:
        try:
            on_ready()
        finally:
            shell.stop()

    shell.run(ready, on_action)


def test_what_was_shown_before_the_start_is_what_is_seen_first(kind: type[Icon]) -> None:
    """There is no moment with an empty menu."""
    shell = Shell("orgate", Image.new("RGBA", (8, 8)), "starting")
    shell.show(BLUE, "$12.34 left", [Row("$12.34 left")])

    _run(shell, lambda: None)

    (icon,) = kind.made
    assert (BLUE, "$12.34 left", True) == (icon.icon, icon.title, icon.visible)
    assert ["$12.34 left"] == [item.text for item in icon.menu]


def test_only_what_changed_is_written(kind: type[Icon]) -> None:
    """A picture that looks the same is the same, whoever drew it."""
    shell = Shell("orgate", BLUE, "title")
    rows = [Row("one"), SEPARATOR, Row("two", children=(Row("three"),))]
    shell.show(BLUE, "title", rows)

    def again() -> None:
        icon = kind.made[0]
        icon.icon = icon.title = icon.menu = None
        shell.show(BLUE.copy(), "title", list(rows))
        assert [None, None, None] == [icon.icon, icon.title, icon.menu]
        shell.show(BLUE, "new", rows)
        assert [None, "new", None] == [icon.icon, icon.title, icon.menu]

    _run(shell, again)

    assert "new" == kind.made[0].title


def test_windows_gets_no_more_than_it_takes(kind: type[Icon]) -> None:
    """And an ampersand there is one only when it is two."""
    shell = Shell("orgate", BLUE, "t" * 200)
    shell.show(BLUE, "t" * 200, [Row("R & D", children=(Row("A & B", "x", checked=True),))])

    _run(shell, lambda: shell.notify("h" * 100, "b" * 300))

    (icon,) = kind.made
    ((title, body),) = icon.told
    assert (127, 63, 255) == (len(icon.title), len(title), len(body))
    assert ("R && D", "A && B") == (icon.menu[0].text, icon.menu[0].action[0].text)
    assert icon.menu[0].action[0].checked(None) is True


def test_a_choice_that_breaks_does_not_end_the_others(kind: type[Icon], caplog: pytest.LogCaptureFixture) -> None:
    """Choices are done one after another, in a thread of their own."""
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    shell = Shell("orgate", BLUE, "title")
    shell.show(BLUE, "title", [Row("breaks", "break"), Row("works", "work")])

    def act(action: str) -> None:
        if action == "break":
            raise ZeroDivisionError
        done.put(action)

    def choose() -> None:
        for item in kind.made[0].menu:
            item.action("icon", "item")
        assert "work" == done.get(timeout=10)

    _run(shell, choose, act)

    assert ["tray.action_broke"] == [record.message for record in caplog.records]


def test_a_start_that_breaks_is_told(kind: type[Icon], caplog: pytest.LogCaptureFixture) -> None:
    """The icon stays."""
    shell = Shell("orgate", BLUE, "title")
    threading.Timer(0.2, shell.stop).start()

    def break_() -> None:
        raise ZeroDivisionError

    shell.run(break_, lambda action: None)

    assert ["tray.start_broke"] == [record.message for record in caplog.records]


@pytest.mark.parametrize("moment", ["making", "starting"])
def test_a_desktop_that_refuses_the_icon(kind: type[Icon], moment: str) -> None:
    """It is said, and no thread of pystray's waits for the loop for ever."""
    kind.breaks_in = moment

    with pytest.raises(NoTray, match=r"does not take the icon: no (bus|window)"):
        Shell("orgate", BLUE, "title").run(lambda: pytest.fail("it is not ready"), lambda action: None)

    for icon in kind.made:
        assert icon.setup_thread is not None
        icon.setup_thread.join(10)
        assert not icon.setup_thread.is_alive()


def test_an_error_at_the_end_is_none(kind: type[Icon]) -> None:
    """Where there is no notification service pystray ends with one."""
    kind.breaks_in = "ending"

    _run(Shell("orgate", BLUE, "title"), lambda: None)


def test_a_stop_before_the_start_counts(kind: type[Icon]) -> None:
    """Whoever asks for the end early is not kept waiting."""
    shell = Shell("orgate", BLUE, "title")
    shell.stop()
    shell.notify("nobody", "sees it")

    shell.run(lambda: pytest.fail("it was stopped"), lambda action: None)


@pytest.mark.parametrize(
    ("library", "words"),
    [
        (ImportError("no gi"), "ImportError: no gi"),
        (RuntimeError("Xlib: bad display"), "bad display"),
        (SimpleNamespace(Icon=SimpleNamespace(HAS_MENU=False)), "no menu"),
        (SimpleNamespace(Icon=SimpleNamespace(HAS_MENU=True, __module__="pystray._gtk")), "Wayland"),
    ],
    ids=["import", "xlib", "xorg", "gtk on wayland"],
)
def test_a_library_that_shows_no_menu(library: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """pystray falls back to what does not work, or raises whatever comes up."""

    def load(name: str) -> Any:
        if isinstance(library, Exception) and name == "pystray":
            raise library
        return library

    monkeypatch.setattr(importlib, "import_module", load)
    monkeypatch.setattr(surroundings, "SYSTEM", "linux")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")

    with pytest.raises(NoTray, match=words):
        shell_module._load()


def test_a_template_is_all_black() -> None:
    """What does not show may have any colour."""
    clear = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    ImageDraw.Draw(clear).rectangle((2, 2, 5, 5), fill=(0, 0, 0, 200))

    assert is_template(clear)
    assert not is_template(BLUE)
