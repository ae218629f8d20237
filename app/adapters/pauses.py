"""The Pauses port: a small file, so that a pause outlives the gateway and can be made without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from app.adapters.statefiles import locked, signature, write_private
from app.core.errors import Unavailable
from app.core.pauses import EVERYBODY


class PauseFile:
    """Who is paused, in a file that other processes may change."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "paused.json"
        self._lock_file = folder / "paused.lock"
        self._seen: tuple[int, int, int] | None = None
        self._apps: frozenset[str] = frozenset()
        self.changed: Callable[[], None] = lambda: None
        """Is called whenever the next may have changed."""
        self.unkept: frozenset[str] = frozenset()
        """Paused here, though it could not be written down."""

    def paused(self) -> frozenset[str]:
        """The apps that may not call, EVERYBODY among them if so; raises Unavailable."""
        now = signature(self._file)
        if now != self._seen:
            self._apps = self._read()
            self._seen = now
        return self._apps | self.unkept

    def pause(self, app: str) -> None:
        """From now on this app may not call; raises Unavailable, though it may not, when that cannot be kept."""
        try:
            with self._changing(self.unkept | {app}):
                # Stopping them all works also with a record that cannot be read.
                self._write({EVERYBODY} if app == EVERYBODY and self._is_broken() else self._read() | {app})
        finally:
            self.changed()

    def resume(self, app: str) -> None:
        """It may again; EVERYBODY lifts every pause."""
        unkept = frozenset() if app == EVERYBODY else self.unkept - {app}
        self.unkept = unkept
        self.changed()
        is_on_record = self._file.exists() if app == EVERYBODY else app in self._read()
        if not is_on_record:
            return
        with self._changing(unkept):
            if app == EVERYBODY:
                # Lifting them all is the way out of a record that cannot be read, and needs no room.
                self._file.unlink(missing_ok=True)
            else:
                self._write(self._read() - {app})

    @contextmanager
    def _changing(self, otherwise: frozenset[str]) -> Iterator[None]:
        """Change the record; where that cannot be done, keep these in mind and raise Unavailable."""
        try:
            with locked(self._lock_file, wait=True):
                yield
        except OSError as error:
            self.unkept = otherwise
            raise Unavailable(
                f"The record of pauses cannot be written ({error.strerror or error}). Who is paused now stays so until "
                "the gateway ends; make room in the state folder and say it again.",
                code="pauses_unwritable",
            ) from None

    def _read(self) -> frozenset[str]:
        try:
            return frozenset(map(str, json.loads(self._file.read_bytes())["paused"]))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError, KeyError):
            # Who is paused is not known: nobody may spend until it is.
            raise Unavailable(
                f"The record of pauses, {self._file.name} in the state folder, cannot be read. Remove it with: "
                "orgate resume",
                code="pauses_broken",
            ) from None

    def _is_broken(self) -> bool:
        try:
            self._read()
        except Unavailable:
            return True
        return False

    def _write(self, apps: Set[str]) -> None:
        write_private(self._file, json.dumps({"paused": sorted(apps)}).encode())
