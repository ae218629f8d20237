"""Messages without buttons, for systems that offer nothing better."""

from __future__ import annotations

import logging
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from tray.notify import NORMAL, with_links

_log = logging.getLogger("orgate.tray")
_OSASCRIPT_S = 10


class PlainNotifier:
    """Hands title and text to `show` in a thread of its own; what the buttons led to stands in the text."""

    def __init__(self, show: Callable[[str, str], None], links: Mapping[str, str]) -> None:
        self._show = show
        self._links = links
        self._work: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="orgate-messages", daemon=True)
        self._thread.start()

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = NORMAL
    ) -> None:
        """Have a message shown."""
        self._work.put((title, with_links(body, buttons, self._links)))

    def close(self, key: str) -> None:
        """What is shown cannot be taken back here."""

    def stop(self) -> None:
        """Show no more."""
        self._work.put(None)
        self._thread.join(1.0)

    def _run(self) -> None:
        while (message := self._work.get()) is not None:
            try:
                self._show(*message)
            except Exception as error:
                if not self._complained:
                    self._complained = True
                    _log.warning("tray.messages_unavailable", extra={"reason": str(error)})


def by_osascript(title: str, body: str) -> None:
    """Show a message on macOS."""
    command = osascript(title, body)
    subprocess.run(command, check=True, capture_output=True, timeout=_OSASCRIPT_S)  # noqa: S603 - no shell reads it


def osascript(title: str, body: str) -> list[str]:
    """The command; the texts are arguments to the script and never part of it."""
    script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
    return ["osascript", "-e", script, title, body]
