"""The files around the ledger: its daily copies, what was set aside, and what stands at its place right now."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

_BUSY_S = 5
_COMPANIONS = ("-wal", "-shm", "-journal")
_BACKUPS = 3

Identity = tuple[tuple[int, int] | None, tuple[int, int] | None]
"""Device and inode of the ledger and of its write-ahead log; None for one that is not there."""


def identity(path: Path) -> Identity:
    """Which files are at the ledger's place."""
    place = str(path)
    return _inode(place), _inode(f"{place}-wal")


def connect(path: Path, *pragmas: str, writes: bool = False) -> sqlite3.Connection:
    """
    A connection without transactions of its own making.

    One that does not write neither makes the file nor removes the write-ahead log of whoever does.
    """
    if writes:
        # What belongs to the file gets the mode that it has.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if writes else 'ro'}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def copy(path: Path, place: Path) -> None:
    """A whole copy of a ledger as of now, in place of what is there; raises sqlite3.Error and OSError."""
    with _drafted(place) as draft, closing(connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(draft),))


def compact(path: Path) -> None:
    """Give back the room of what was removed, which needs as much meanwhile; raises sqlite3.Error and OSError."""
    with closing(connect(path, writes=True)) as connection:
        connection.execute("VACUUM")


def backups(path: Path) -> list[Path]:
    """The copies that were made by themselves, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}-backup-*.db"))


def back_up_daily(path: Path, now: float) -> None:
    """Make today's copy if there is none, and remove those that are too old; raises as `copy`."""
    day = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")
    place = path.with_name(f"{path.stem}-backup-{day}.db")
    if not place.exists():
        copy(path, place)
    for old in backups(path)[:-_BACKUPS]:
        old.unlink(missing_ok=True)


def newest_whole_backup(path: Path) -> Path | None:
    """The last copy that can be read from end to end."""
    return next((one for one in reversed(backups(path)) if is_whole(one)), None)


def was_here(path: Path) -> bool:
    """Whether there has been a ledger at this place, by what is kept beside it."""
    return bool(backups(path) or any(path.parent.glob(f"{path.stem}-damaged-*.db")))


def aside(path: Path, why: str) -> Path:
    """A name of its own for what is not the ledger any more: "damaged", "exchanged"."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return path.with_name(f"{path.stem}-{why}-{stamp}.db")


def set_aside(path: Path) -> None:
    """Give the ledger's files another name, for somebody who can read what is left in them."""
    place = aside(path, "damaged")
    for end in (*_COMPANIONS, ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{end}").rename(f"{place}{end}")


def remove_companions(path: Path) -> None:
    """Remove a write-ahead log and what belongs to it, so that no other file is ever read with them."""
    for end in _COMPANIONS:
        Path(f"{path}{end}").unlink(missing_ok=True)


def install(draft: Path, place: Path) -> None:
    """Put a finished file in its place, all of it, also after a power cut."""
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    draft.chmod(0o600)
    draft.replace(place)


def is_whole(path: Path) -> bool:
    """Whether a ledger can be read from end to end; an empty file is none."""
    try:
        with closing(connect(path)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            version = connection.execute("SELECT value FROM facts WHERE name = 'version'").fetchone()
    except sqlite3.Error:
        return False
    return sound and version is not None


def size(path: Path) -> int:
    """Bytes on disk, with what has not been merged into the main file yet."""
    total = 0
    for end in ("", *_COMPANIONS):
        with suppress(OSError):
            total += Path(f"{path}{end}").stat().st_size
    return total


def duplicate(source: Path, draft: Path) -> None:
    """The same bytes again."""
    remove_companions(draft)
    shutil.copyfile(source, draft)


@contextmanager
def _drafted(place: Path) -> Iterator[Path]:
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        yield draft
        install(draft, place)
    finally:
        draft.unlink(missing_ok=True)


def _inode(place: str) -> tuple[int, int] | None:
    try:
        found = os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
