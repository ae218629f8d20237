"""Messages on the desktop, with buttons where the system has them."""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from PIL import Image

from tray.surroundings import SYSTEM

_log = logging.getLogger("orgate.tray")

NORMAL, LOW, CRITICAL = "normal", "low", "critical"


class Notifier(Protocol):
    """Shows messages, each under a key: one with the same key takes the place of the one before it."""

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = NORMAL
    ) -> None:
        """
        Have a message shown, at once and without waiting for it.

        Args:
            buttons: action and label of each; a press calls the notifier's `on_action` with the action. A click on
                the message itself counts as the first of them.
            urgency: "low", "normal" or "critical"; critical ones stay until they are dismissed.
        """

    def close(self, key: str) -> None:
        """Take the message with this key away, if it is still shown or waits to be."""

    def stop(self) -> None:
        """Take all messages away, since nobody will hear their buttons any more, and end."""


class Silent:
    """Shows nothing, where there is nothing to show it with, and says so once."""

    def __init__(self) -> None:
        self._said = False

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = NORMAL
    ) -> None:
        """Write into the log that messages are not shown."""
        if not self._said:
            self._said = True
            _log.warning("tray.messages_unavailable", extra={"hint": "pip install 'orgate[tray]'"})

    def close(self, key: str) -> None:
        """Nothing was shown."""

    def stop(self) -> None:
        """Nothing was shown."""


def notifier(
    on_action: Callable[[str], None],
    *,
    image: Callable[[], Image.Image] | None = None,
    links: Mapping[str, str] | None = None,
    balloon: Callable[[str, str], None] | None = None,
) -> Notifier:
    """
    The best way to show messages on this system.

    Args:
        on_action: called with a pressed button's action, in a thread of the notifier's own; it must return soon.
        image: the picture to put beside the text, asked for anew for each message.
        links: addresses by action; where there are no buttons they stand in the text.
        balloon: shows a title and a text by other means; the last resort.
    """
    if SYSTEM not in ("win32", "darwin"):
        if importlib.util.find_spec("jeepney"):
            from tray.notify_bus import BusNotifier

            return BusNotifier(on_action, image=image, links=links or {})
        return Silent()
    fallback = _plain(links or {}, balloon)
    if importlib.util.find_spec("desktop_notifier"):
        from tray.notify_portable import PortableNotifier

        return PortableNotifier(on_action, fallback)
    return fallback


def _plain(links: Mapping[str, str], balloon: Callable[[str, str], None] | None) -> Notifier:
    from tray.notify_plain import PlainNotifier, by_osascript

    if SYSTEM == "darwin" and shutil.which("osascript"):
        return PlainNotifier(by_osascript, links)
    return PlainNotifier(balloon, links) if balloon else Silent()


def with_links(body: str, buttons: Sequence[tuple[str, str]], links: Mapping[str, str]) -> str:
    """The text, and below it what the buttons would have led to."""
    lines = [f"{label}: {links[action]}" for action, label in buttons if action in links]
    return "\n".join([body, *lines])
