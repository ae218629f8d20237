"""The part of a desktop's panel that icons register with."""

from __future__ import annotations

from typing import Any

from tests.tray.desktop.bus import Service


class Watcher(Service):
    """Says that a panel shows icons, and keeps every registration."""

    name = "org.kde.StatusNotifierWatcher"
    path = "/StatusNotifierWatcher"

    def __init__(self, address: str) -> None:
        self.registrations: list[tuple[str, str]] = []
        """Program and path of each registration; one program may register again and again."""
        super().__init__(address)

    def on_register_status_notifier_item(self, sender: str, item: str) -> tuple[str, tuple[Any, ...]]:
        """An icon's program names the path of its icon."""
        self.registrations.append((sender, item))
        return "", ()

    def on_register_status_notifier_host(self, sender: str, host: str) -> tuple[str, tuple[Any, ...]]:
        """A panel's program says that it shows icons."""
        return "", ()

    def on_get(self, sender: str, interface: str, name: str) -> tuple[str, tuple[Any, ...]]:
        """One property."""
        return "v", (self._properties()[name],)

    def on_get_all(self, sender: str, interface: str) -> tuple[str, tuple[Any, ...]]:
        """All properties."""
        return "a{sv}", (self._properties(),)

    def _properties(self) -> dict[str, tuple[str, Any]]:
        return {
            "IsStatusNotifierHostRegistered": ("b", True),
            "ProtocolVersion": ("i", 0),
            "RegisteredStatusNotifierItems": ("as", [sender + path for sender, path in self.registrations]),
        }
