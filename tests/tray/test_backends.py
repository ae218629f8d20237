"""The rules for each system's icon class, on stand-ins for pystray's."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tray.backends import calm, on_gtk, on_mac, on_windows

LEFT_UP, RIGHT_UP, MOVED = 0x0202, 0x0205, 0x0200


class Recorder:
    """pystray's icon as far as the rules reach, on all systems at once; it tells what was called, and where."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.icon = Image.new("RGBA", (8, 8))
        self._app = SimpleNamespace(setActivationPolicy_=lambda policy: self.calls.append(f"policy {policy}"))
        self._icon_image = SimpleNamespace(setTemplate_=lambda on: self.calls.append(f"template {on}"))

    def _record(self, name: str) -> None:
        main = threading.current_thread() is threading.main_thread()
        self.calls.append(name if main else f"{name} elsewhere")

    def update_menu(self) -> None:
        self._update_menu()

    def _on_notify(self, wparam: int, lparam: int) -> int:
        self.calls.append(lparam)
        return 5

    def _on_status_icon_popup_menu(self, *_: object) -> None:
        self._record("menu opens")

    def _assert_image(self) -> None:
        self._record("image")

    def _show(self) -> None:
        self._record("show")

    def _hide(self) -> None:
        self._record("hide")

    def _update_icon(self) -> None:
        self._record("icon")

    def _update_title(self) -> None:
        self._record("title")

    def _update_menu(self) -> None:
        self._record("menu")

    def _stop(self) -> None:
        self._record("stop")

    def _mark_ready(self) -> None:
        self._record("ready")


class Choice:
    """A menu's item."""

    def __init__(self, checked: bool | None) -> None:
        self.checked = checked
        self.chosen_on: list[Any] = []

    def __call__(self, icon: Any) -> None:
        self.chosen_on.append(icon)


@pytest.mark.parametrize(("checked", "calls"), [(None, []), (False, ["menu"]), (True, ["menu"])])
def test_only_a_marked_row_is_built_anew_after_a_click(checked: bool | None, calls: list[str]) -> None:
    """The system has turned the mark over by itself; nothing else has changed."""
    icon = calm(Recorder)()
    choice = Choice(checked)

    icon._handler(choice)("what", "the system", "hands over")

    assert [icon] == choice.chosen_on
    assert calls == icon.calls


def test_gtk_gets_a_new_file_each_time_and_no_notification_service(tmp_path: Path) -> None:
    """Panels remember pictures by their names."""
    icon = on_gtk(Recorder, tmp_path, lambda: "bus")()

    icon._initialize()
    icon._notifier.hide()
    icon._update_fs_icon()
    first = icon._icon_path
    icon._update_fs_icon()

    assert ["ready"] == icon.calls
    assert [first, icon._icon_path] == sorted(str(path) for path in tmp_path.glob("*.png"))
    assert icon._icon_valid


def test_gtks_old_tray_opens_the_menu_on_a_left_click(tmp_path: Path) -> None:
    """As it does everywhere else."""
    icon = on_gtk(Recorder, tmp_path, lambda: "bus")()

    icon()

    assert ["menu opens"] == icon.calls


def test_windows_builds_the_menu_just_before_it_opens() -> None:
    """And not again until its rows change; both buttons open it, and what is no click goes its way."""
    icon = on_windows(Recorder)()

    icon.update_menu()
    icon.update_menu()
    assert [] == icon.calls

    assert 5 == icon._on_notify(0, MOVED)
    assert 5 == icon._on_notify(0, RIGHT_UP)
    icon._on_notify(0, LEFT_UP)
    icon.update_menu()
    icon._on_notify(0, LEFT_UP)

    assert [MOVED, "menu", RIGHT_UP, RIGHT_UP, "menu", RIGHT_UP] == icon.calls


def test_windows_can_end_without_ever_having_had_a_menu() -> None:
    """pystray looks for it at the end."""
    assert on_windows(Recorder)()._menu_handle is None


def test_macos_does_everything_in_the_main_thread() -> None:
    """At once if it is there, and by way of the loop if not."""
    later: list[Any] = []
    icon = on_mac(Recorder, later.append, lambda image: True)()
    icon.calls.clear()

    def elsewhere() -> None:
        for name in ("_show", "_update_icon", "_update_title", "_update_menu", "_hide", "_stop"):
            getattr(icon, name)()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert [] == icon.calls
    for work in later:
        work()
    icon._update_title()

    assert ["show", "icon", "title", "menu", "hide", "stop", "title"] == icon.calls


@pytest.mark.parametrize("template", [True, False])
def test_macos_is_told_which_picture_to_colour_itself(template: bool) -> None:
    """And shows no icon in the Dock."""
    icon = on_mac(Recorder, lambda work: None, lambda image: template)()

    icon._assert_image()

    assert ["policy 1", "image", f"template {template}"] == icon.calls
