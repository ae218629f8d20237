"""Starts the gateway as a program of its own, and ends it again, but only one that it has started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tray.files import private_folder

LOG = "gateway.log"
_FLAGS = 0
if sys.platform == "win32":
    _FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW

_LONGEST_LOG = 5_000_000
_TAIL = 4000
_LINES = 2


def command() -> list[str] | None:
    """How to run `orgate` here; None when it is not installed beside the tray or on the path."""
    beside = shutil.which("orgate", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("orgate")
    return [found] if found else None


class Launcher:
    """
    Runs `orgate serve`, its log in the state folder.

    Args:
        orgate: how to run `orgate`; None where the gateway is not the tray's to start.
        options: what `serve` is told.
    """

    def __init__(self, orgate: Sequence[str] | None, folder: Path, options: Sequence[str] = ()) -> None:
        self._orgate = orgate
        self._options = options
        self._log = folder / LOG
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def can_start(self) -> bool:
        """A gateway could be started."""
        return self._orgate is not None and not self.runs

    @property
    def runs(self) -> bool:
        """The gateway that was started runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs; it outlives the tray. Raises OSError."""
        if self._orgate is None or self.runs:
            return
        private_folder(self._log.parent)
        with suppress(OSError):
            if self._log.stat().st_size > _LONGEST_LOG:
                self._log.replace(self._log.with_suffix(".log.1"))
        descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own program, no text of anybody else's)
                [*self._orgate, "serve", *self._options],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                creationflags=_FLAGS,
            )
        finally:
            os.close(descriptor)

    def stop(self) -> None:
        """Ask it to end, which lets running answers finish; nothing happens to a gateway that others started."""
        if self._process is not None and self.runs:
            self._process.send_signal(signal.SIGTERM)

    def why_ended(self) -> str | None:
        """What it said last if it ended by itself with an error, told once; None otherwise."""
        if self._process is None or self._process.poll() is None:
            return None
        code, self._process = self._process.returncode, None
        return self._last_words() if code > 0 else None

    def _last_words(self) -> str:
        """The end of the log as far as it is meant for people, and not a line for programs."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()][-_LINES:]
        return " ".join(line for line in said if not line.startswith("{"))
