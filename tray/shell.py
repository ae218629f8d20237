"""The icon and its menu in the desktop's tray; the only module that imports pystray."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tray.backends import calm, on_gtk, on_mac, on_windows
from tray.errors import NoTray
from tray.iconfiles import icon_folder
from tray.limits import MESSAGE, TITLE, TOOLTIP, cut
from tray.rows import SEPARATOR, Row
from tray.signals import stopped_by_signals
from tray.surroundings import SYSTEM, hidden_icons, missing_parts, require_desktop, session_bus

_log = logging.getLogger("orgate.tray")


class Shell:
    """
    The icon, its title and its menu. Anything may be shown before `run`; each part is written only when it changed.

    Args:
        name: what the desktop knows the icon by.
        image: the first picture; pictures are never changed after they were handed over.
        title: the first title, which panels show as a tooltip.
    """

    def __init__(self, name: str, image: Image.Image, title: str) -> None:
        self._name = name
        self._image = image
        self._title = title
        self._rows: tuple[Row, ...] = ()
        self._lock = threading.Lock()
        self._icon: Any = None  # pystray's, which has no types
        self._pystray: Any = None
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._chosen: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def run(self, on_ready: Callable[[], None], on_action: Callable[[str], None]) -> None:
        """
        Show the icon until `stop`, SIGTERM or SIGINT; raises NoTray where that cannot be.

        Args:
            on_ready: called once, in a thread of its own, when the icon can be written to; it must return soon.
            on_action: called with the action of each chosen row, "" too, one at a time, in a thread of its own.
        """
        if SYSTEM not in ("win32", "darwin"):
            require_desktop(os.environ)
            # GLib looks for the bus in more places than others do; all of them shall mean the same one.
            os.environ["DBUS_SESSION_BUS_ADDRESS"] = session_bus(os.environ)
            if hint := hidden_icons(os.environ):
                _log.warning("tray.hidden", extra={"hint": hint})
        self._pystray = _load()
        threading.Thread(target=self._hand_on, args=(on_action,), name="orgate-actions", daemon=True).start()
        try:
            with stopped_by_signals(self.stop), icon_folder(os.environ) as folder:
                self._loop(folder, on_ready)
        finally:
            self._chosen.put(None)

    def show(self, image: Image.Image, title: str, rows: Sequence[Row]) -> None:
        """Have the tray show this; from any thread, without waiting for it to be done."""
        new = tuple(rows)
        with self._lock:
            image_changed = not _same(image, self._image)
            title_changed, rows_changed = title != self._title, new != self._rows
            self._image, self._title, self._rows = image, title, new
            if self._icon is None:
                return
            if image_changed:
                self._icon.icon = image
            if title_changed:
                self._icon.title = cut(title, TOOLTIP)
            if rows_changed:
                self._icon.menu = self._menu(new)

    def notify(self, title: str, body: str) -> None:
        """A message from the icon itself: without buttons, for systems that have nothing better."""
        with self._lock:
            if self._icon is not None and self._ready.is_set():
                self._icon.notify(cut(body, MESSAGE), cut(title, TITLE))

    def image(self) -> Image.Image:
        """The picture that is shown now."""
        return self._image

    def stop(self) -> None:
        """Take the icon away and let `run` return; from any thread, as often as you like."""
        self._stopped.set()
        if self._ready.is_set():
            self._icon.stop()

    def _loop(self, folder: Path, on_ready: Callable[[], None]) -> None:
        failed = threading.Event()

        def ready(icon: Any) -> None:
            if failed.is_set():
                return
            icon.visible = True
            self._ready.set()
            if self._stopped.is_set():
                icon.stop()
                return
            try:
                on_ready()
            except Exception:
                _log.exception("tray.start_broke")

        try:
            with self._lock:
                kind = _fitted(self._pystray.Icon, folder)
                self._icon = kind(self._name, self._image, cut(self._title, TOOLTIP), self._menu(self._rows))
            self._icon.run(setup=ready)
        except Exception as error:
            if self._ready.is_set():
                _log.debug("tray.end_broke", exc_info=error)
                return
            failed.set()
            # pystray's own thread waits for the loop, without end, and would keep the process.
            with contextlib.suppress(Exception):
                self._icon._mark_ready()
            raise NoTray(f"The desktop's tray does not take the icon: {error}.") from error

    def _menu(self, rows: Sequence[Row]) -> Any:
        if not rows:
            return None
        return self._pystray.Menu(*map(self._item, rows))

    def _item(self, row: Row) -> Any:
        if row == SEPARATOR:
            return self._pystray.Menu.SEPARATOR
        text = row.text.replace("&", "&&") if SYSTEM == "win32" else row.text
        if row.children:
            return self._pystray.MenuItem(text, self._menu(row.children))
        checked = None if row.checked is None else functools.partial(_always, row.checked)
        # Grey rows are hard to read, so a row that only tells something can be chosen too.
        return self._pystray.MenuItem(text, functools.partial(self._choose, row.action), checked=checked)

    def _choose(self, action: str, *_: object) -> None:
        self._chosen.put(action)

    def _hand_on(self, on_action: Callable[[str], None]) -> None:
        while (action := self._chosen.get()) is not None:
            try:
                on_action(action)
            except Exception:
                _log.exception("tray.action_broke", extra={"action": action})


def _load() -> Any:
    # GTK brings a HarfBuzz that Pillow's would then be taken for, and Pillow's texts come out as garbage.
    with contextlib.suppress(ImportError):
        importlib.import_module("PIL._imagingft")
    try:
        pystray = importlib.import_module("pystray")
    except Exception as error:  # without a display it raises Xlib's own
        raise missing_parts(f"{type(error).__name__}: {error}") from error
    if not pystray.Icon.HAS_MENU:
        raise missing_parts()
    if pystray.Icon.__module__.endswith("._gtk") and os.environ.get("WAYLAND_DISPLAY"):
        raise missing_parts("a Wayland desktop takes icons through AppIndicator only")
    return pystray


def _fitted(kind: Any, folder: Path) -> Any:
    if SYSTEM == "win32":
        return on_windows(calm(kind))
    if SYSTEM == "darwin":
        helper = importlib.import_module("PyObjCTools.AppHelper")
        return on_mac(calm(kind), helper.callAfter, is_template)
    return on_gtk(calm(kind), folder, _session_bus)


def _session_bus() -> Any:
    gio = importlib.import_module("gi.repository.Gio")
    return gio.bus_get_sync(gio.BusType.SESSION, None)


def is_template(image: Image.Image) -> bool:
    """Whether all that shows of it is black: macOS is then asked to colour it like the menu bar's other icons."""
    alpha = image.convert("RGBA").getchannel("A").point(lambda value: 255 if value else 0)
    black = Image.new("RGB", image.size)
    seen = Image.composite(image.convert("RGB"), black, alpha)
    return seen.getbbox() is None


def _same(one: Image.Image, other: Image.Image) -> bool:
    return one is other or (one.size == other.size and one.mode == other.mode and one.tobytes() == other.tobytes())


def _always(value: bool, _: object) -> bool:
    return value
