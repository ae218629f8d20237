"""What all processes count together, in memory that they share: nobody is asked, and nobody waits for an answer."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from app.services.slots import Slot, full

_CELL = 8
"""Bytes for one count of one process."""

_UNEVEN = 2
_GIVE_WAY_S = 0.001


class SharedPlaces:
    """
    A fixed number of places, of which each process of the gateway counts in a cell of its own what it has taken.

    The lock is the file's: with a process its lock ends too, and whoever replaces it clears its cell.
    """

    def __init__(self, count: int, processes: int, *, file: int | None = None, mine: int = 0) -> None:
        """Without a file, as the first process has it, a new one is made."""
        if file is None:
            with tempfile.TemporaryFile() as made:
                made.truncate(2 * processes * _CELL)
                file = os.dup(made.fileno())
            weakref.finalize(self, os.close, file)
        self.count = count
        self.file = file
        """The descriptor that another process needs."""
        self._mine = mine
        both = memoryview(mmap.mmap(file, 2 * processes * _CELL)).cast("Q")
        self._cells, self._connections = both[:processes], both[processes:]
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many places calls have at this moment, in all processes."""
        return sum(self._cells)

    def take(self) -> Slot:
        """A place, to be given back; raises Unavailable when all are taken."""
        with self._alone():
            if sum(self._cells) >= self.count:
                raise full(self.count)
            self._cells[self._mine] += 1
        return Slot(self._free)

    def clear(self, process: int) -> None:
        """This process has ended: its places are free."""
        with self._alone():
            self._cells[process] = self._connections[process] = 0

    def give_way(self, connections: int) -> None:
        """
        This process has so many connections and is about to take another: one that has fewer is given the time to.

        They all wait at the same sockets, and whichever is awake would take nearly all that come at once. The first
        process has the others' questions to answer besides: it takes fewer.
        """
        own = connections if self._mine else connections * len(self._connections)
        self._connections[self._mine] = own
        if own >= min(self._connections) + _UNEVEN:
            time.sleep(_GIVE_WAY_S)

    def _free(self) -> None:
        with self._lock:
            self._cells[self._mine] -= 1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The file's lock tells processes apart, the other one threads."""
        with self._lock:
            fcntl.lockf(self.file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self.file, fcntl.LOCK_UN)
