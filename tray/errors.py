"""What ends the tray, each with what to do about it."""

from __future__ import annotations


class TrayError(Exception):
    """Ends the program with a sentence for its owner."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(f"{reason} {fix}".strip())
        self.reason = reason
        self.fix = fix
        """What to do about it, a sentence; "" when the reason says it."""


class NoTray(TrayError):
    """The desktop has no tray that could show the icon and its menu."""


class AlreadyRunning(TrayError):
    """Another tray runs on the same state folder."""


class BadSetting(TrayError):
    """A setting cannot be used; the reason names it."""
