"""The desktop's own means: its browser and its clipboard."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Mapping

_PATIENCE_S = 3.0


class Desk:
    """Opens pages and copies texts with what the system has."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def open(self, url: str) -> bool:
        """Show a page in the browser; whether there is one."""
        opened: list[bool] = []
        opening = threading.Thread(target=lambda: opened.append(_open(url)), name="orgate-browser", daemon=True)
        opening.start()
        # Some browsers are the very program that was started, and end when their owner closes them.
        opening.join(_PATIENCE_S)
        return opening.is_alive() or opened == [True]

    def copy(self, text: str) -> bool:
        """Put a text on the clipboard; whether there is a program for that."""
        for command in _copiers(self._environment):
            if shutil.which(command[0]):
                try:
                    # Some of these go on in the background for as long as the text is wanted: nothing of ours is
                    # left open in them.
                    done = subprocess.run(  # noqa: S603 (a fixed command; the text is its input)
                        command,
                        input=text.encode(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        timeout=_PATIENCE_S,
                        check=False,
                    )
                except (OSError, subprocess.TimeoutExpired):
                    continue
                if done.returncode == 0:
                    return True
        return False


def _open(url: str) -> bool:
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _copiers(environment: Mapping[str, str]) -> list[list[str]]:
    if sys.platform == "darwin":
        return [["pbcopy"]]
    if sys.platform == "win32":
        return [["clip"]]
    wayland = [["wl-copy"]] if environment.get("WAYLAND_DISPLAY") else []
    return [*wayland, ["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
