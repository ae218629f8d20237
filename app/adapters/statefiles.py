"""Files of the gateway's own: readable by their owner only, replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class AlreadyLocked(Exception):
    """Another process holds the lock."""


def private_folder(path: Path) -> Path:
    """The folder, made if need be, open to its owner only (0700)."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "The state folder is a file", str(path))
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace the file's content at once, mode 0600; a crash leaves the old content."""
    with _draft(path, content) as draft:
        draft.replace(path)


def create_private(path: Path, content: bytes) -> None:
    """The same for a file that must not be there yet; raises FileExistsError."""
    with _draft(path, content) as draft:
        # A link is made only where nothing stands, and what others then see is whole.
        os.link(draft, path)
        draft.unlink()


@contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """The content in a hidden file beside its place, gone again when the block fails."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def signature(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file does; None when there is none."""
    try:
        # Every call looks; pathlib would take as long again as the system.
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file while the block runs; raises AlreadyLocked when it is taken and `wait` is false."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, wait)
        yield
    finally:
        # Closing is what unlocks; the file stays, since removing it would let two processes hold "the" lock.
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, wait: bool) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise AlreadyLocked from error
else:
    import fcntl

    def _lock(descriptor: int, wait: bool) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise AlreadyLocked from error
