"""Files of the tray's own: readable by their owner only, replaced whole or not at all; and the lock of the only one."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tray.errors import AlreadyRunning

_LOCK = "tray.lock"


def private_folder(path: Path) -> Path:
    """The folder, made if need be, open to its owner only (0700)."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, content: str) -> None:
    """Replace the file's content at once, mode 0600; a crash leaves the old content."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Be the only tray on this state folder while the block runs; raises AlreadyRunning."""
    place = private_folder(folder) / _LOCK
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock(descriptor)
        except OSError:
            pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
            by = f" (pid {pid})" if pid.isdecimal() else ""
            raise AlreadyRunning(f"The tray already runs on the state folder {folder}{by}.", "Quit it first.") from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        # Closing is what unlocks; the file stays, since removing it would let two processes hold "the" lock.
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # A byte far behind the end, so that the number in the file can still be read.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
