"""
pystray's icon class, fitted to what each system really allows.

The fitted classes are made from whatever class pystray chose, so that their rules can be tested on every system.
They reach into pystray 0.19; where a later one has other insides, what is overridden here simply goes unused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LEFT_UP, _RIGHT_UP = 0x0202, 0x0205
_NO_DOCK_ICON = 1


class _Quiet:
    """Stands where pystray keeps its own notifier."""

    def hide(self) -> None:
        """Nothing was shown."""


def calm(base: Any) -> Any:
    """A click builds the menu anew only where the click itself changed it; pystray would for every one."""

    class Calm(base):  # type: ignore[misc]
        def _handler(self, callback: Any) -> Callable[..., None]:
            def clicked(*_: object) -> None:
                callback(self)
                if callback.checked is not None:
                    self.update_menu()

            return clicked

    return Calm


def on_gtk(base: Any, folder: Path, session_bus: Callable[[], Any]) -> Any:
    """The icon's file is kept in `folder`, and no notification daemon is started, waited for or needed."""

    class OnGtk(base):  # type: ignore[misc]
        _pictures = 0

        def __init__(self, *arguments: Any, **options: Any) -> None:
            # AppIndicator asks for the bus twice at once and is lost for good where the second answer comes first, as
            # happens on a busy machine. It does not where the connection is there already, and is held.
            self._bus = session_bus()
            super().__init__(*arguments, **options)

        def _initialize(self) -> None:
            self._notifier = _Quiet()
            self._mark_ready()

        def _update_fs_icon(self) -> None:
            self._pictures += 1
            # A new name each time: panels remember pictures by their names.
            self._icon_path = str(folder / f"{self._pictures}.png")
            self.icon.save(self._icon_path, "PNG")
            self._icon_valid = True

        def __call__(self) -> None:
            # Only the old tray tells of a left click; it opens the menu, as everywhere else.
            self._on_status_icon_popup_menu(None, 0, 0)

    return OnGtk


def on_windows(base: Any) -> Any:
    """The menu is built in the loop's own thread, just before it opens; both mouse buttons open it."""

    class OnWindows(base):  # type: ignore[misc]
        _menu_handle = None
        _outdated = True

        def _update_menu(self) -> None:
            self._outdated = True

        def _on_notify(self, wparam: int, lparam: int) -> Any:
            event = _RIGHT_UP if lparam == _LEFT_UP else lparam
            if event == _RIGHT_UP and self._outdated:
                self._outdated = False
                super()._update_menu()
            return super()._on_notify(wparam, event)

    return OnWindows


def on_mac(base: Any, call_after: Callable[[Callable[[], None]], None], is_template: Callable[[Any], bool]) -> Any:
    """Everything that touches AppKit is done in the main thread, by way of `call_after`."""

    def handed_over(name: str) -> Callable[[Any], None]:
        def method(self: Any) -> None:
            work: Callable[[], None] = getattr(super(on_mac_class, self), name)
            if threading.current_thread() is threading.main_thread():
                work()
            else:
                call_after(work)

        return method

    class OnMac(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._app.setActivationPolicy_(_NO_DOCK_ICON)

        def _assert_image(self) -> None:
            super()._assert_image()
            # macOS then draws it in the menu bar's own colour, dark or light.
            self._icon_image.setTemplate_(is_template(self.icon))

    on_mac_class = OnMac
    for name in ("_show", "_hide", "_update_icon", "_update_title", "_update_menu", "_stop"):
        setattr(OnMac, name, handed_over(name))
    return OnMac
