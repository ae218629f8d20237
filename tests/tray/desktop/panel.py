"""What a panel sees of an icon, read over D-Bus: properties (StatusNotifierItem) and menu (com.canonical.dbusmenu)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jeepney import DBusErrorResponse
from PIL import Image

from tests.tray.desktop.bus import Caller
from tests.tray.desktop.watcher import Watcher
from tests.waiting import PATIENCE_S, eventually

_ITEM = "org.kde.StatusNotifierItem"
_MENU = "com.canonical.dbusmenu"


@dataclass(frozen=True)
class Line:
    """A row of the menu as it is on the bus."""

    number: int
    text: str
    checked: bool | None
    enabled: bool
    separator: bool
    children: tuple[Line, ...]

    def walk(self) -> Iterator[Line]:
        """This row and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class Panel:
    """Looks at the icon that registered last."""

    def __init__(self, address: str, watcher: Watcher) -> None:
        self._caller = Caller(address)
        self._watcher = watcher

    @property
    def registrations(self) -> int:
        """How often an icon was registered."""
        return len(self._watcher.registrations)

    def property(self, name: str) -> Any:
        """A property of the icon, such as "Title" or "Status"."""
        program, path = self._item()
        answer = self._caller.call(program, path, "org.freedesktop.DBus.Properties", "Get", "ss", _ITEM, name)
        return answer[0][1]

    def title(self) -> str:
        """What the panel shows as a tooltip."""
        return str(self.property("Title"))

    def picture(self) -> Image.Image:
        """The icon's pixels."""
        while True:
            try:
                with Image.open(self.property("IconName")) as picture:
                    return picture.convert("RGBA")
            except FileNotFoundError:
                time.sleep(0.02)  # replaced between the question and the look

    def menu(self) -> Line:
        """The menu, as the row that holds all others."""
        program, path = self._menu()
        self._caller.call(program, path, _MENU, "AboutToShow", "i", 0)
        _, layout = self._caller.call(program, path, _MENU, "GetLayout", "iias", 0, -1, [])
        return _line(layout)

    def texts(self) -> list[str]:
        """The top rows' texts, "-" for a separator."""
        return ["-" if line.separator else line.text for line in self.menu().children]

    def row(self, text: str) -> Line:
        """The row with this text, at any depth, once it is there."""
        return eventually(lambda: next((line for line in self.menu().walk() if line.text == text), None))  # type: ignore[return-value]

    def click(self, text: str) -> None:
        """Choose the row with this text; rows get new numbers at each change of the menu, so it is looked up anew."""
        program, path = self._menu()
        end = time.monotonic() + PATIENCE_S
        while True:
            number = self.row(text).number
            try:
                self._caller.call(program, path, _MENU, "Event", "isvu", number, "clicked", ("s", ""), 0)
            except DBusErrorResponse:
                assert time.monotonic() < end
            else:
                return

    def _menu(self) -> tuple[str, str]:
        return self._item()[0], str(self.property("Menu"))

    def _item(self) -> tuple[str, str]:
        return eventually(lambda: self._watcher.registrations)[-1]


def _line(layout: Any) -> Line:
    number, properties, children = layout
    told = {name: value for name, (_, value) in properties.items()}
    return Line(
        number=number,
        text=str(told.get("label", "")).replace("__", "_"),
        checked=bool(told.get("toggle-state")) if told.get("toggle-type") else None,
        enabled=bool(told.get("enabled", True)),
        separator=told.get("type") == "separator",
        children=tuple(_line(child) for _, child in children if _visible(child)),
    )


def _visible(layout: Any) -> bool:
    return bool(layout[1].get("visible", ("b", True))[1])
