"""The folder with the icon's picture: Linux desktops read it from a file, and nothing of it may stay behind."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"orgate-tray-(\d+)-\w+")


@contextmanager
def icon_folder(environment: Mapping[str, str]) -> Iterator[Path]:
    """A new folder that only this user can read, gone at the end; what killed processes left is removed first."""
    root = _root(environment)
    for path in root.glob("orgate-tray-*"):
        if (name := _NAME.fullmatch(path.name)) and not _alive(int(name[1])):
            shutil.rmtree(path, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"orgate-tray-{os.getpid()}-", dir=root)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _root(environment: Mapping[str, str]) -> Path:
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    return Path(runtime) if runtime and os.access(runtime, os.W_OK) else Path(tempfile.gettempdir())


def _alive(process: int) -> bool:
    if os.name == "nt":
        return True  # there kill() would end it; and the icon is no file there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
