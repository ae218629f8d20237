"""A notification daemon that shows nothing and remembers everything."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from jeepney import DBusAddress, new_signal

from tests.tray.desktop.bus import Service

CAPABILITIES = ("actions", "body", "body-markup", "icon-static", "persistence")


@dataclass(frozen=True)
class Notice:
    """One call of Notify."""

    number: int
    replaces: int
    app: str
    icon: str
    title: str
    body: str
    actions: dict[str, str]
    """Label by action."""
    hints: dict[str, Any]


class NoticeBoard(Service):
    """Numbers its notices from `first`; `press` and `dismiss` play its user."""

    name = "org.freedesktop.Notifications"
    path = "/org/freedesktop/Notifications"

    def __init__(self, address: str, capabilities: tuple[str, ...] = CAPABILITIES, first: int = 1) -> None:
        self.sent: list[Notice] = []
        """Every notice, also those that were replaced or closed since."""
        self.shown: dict[int, Notice] = {}
        self.closed: list[int] = []
        self.asked_capabilities = 0
        self._capabilities = capabilities
        self._numbers = itertools.count(first)
        super().__init__(address)

    def press(self, number: int, action: str) -> None:
        """The user presses a button; the notice goes away."""
        self._tell("ActionInvoked", "us", number, action)
        self._tell("NotificationClosed", "uu", number, 2)
        self.shown.pop(number, None)

    def dismiss(self, number: int) -> None:
        """The user waves the notice away."""
        self._tell("NotificationClosed", "uu", number, 2)
        self.shown.pop(number, None)

    def on_get_capabilities(self, sender: str) -> tuple[str, tuple[Any, ...]]:
        """What this daemon can do."""
        self.asked_capabilities += 1
        return "as", (list(self._capabilities),)

    def on_get_server_information(self, sender: str) -> tuple[str, tuple[Any, ...]]:
        """Who this daemon is."""
        return "ssss", ("notice board", "tests", "1", "1.2")

    def on_notify(
        self,
        sender: str,
        app: str,
        replaces: int,
        icon: str,
        title: str,
        body: str,
        actions: list[str],
        hints: dict[str, tuple[str, Any]],
        expires: int,
    ) -> tuple[str, tuple[Any, ...]]:
        """Show a notice, in the place of another if that is still shown."""
        number = replaces or next(self._numbers)
        labels = dict(zip(actions[::2], actions[1::2], strict=True))
        values = {name: value for name, (_, value) in hints.items()}
        notice = Notice(number, replaces, app, icon, title, body, labels, values)
        self.sent.append(notice)
        self.shown[number] = notice
        return "u", (number,)

    def on_close_notification(self, sender: str, number: int) -> tuple[str, tuple[Any, ...]]:
        """Take a notice away."""
        self.closed.append(number)
        if self.shown.pop(number, None):
            self._tell("NotificationClosed", "uu", number, 3)
        return "", ()

    def _tell(self, member: str, signature: str, *values: Any) -> None:
        self.emit(new_signal(DBusAddress(self.path, interface=self.name), member, signature, values))
