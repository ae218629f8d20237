"""
A busy gateway stays on one core of the processor (Linux).

Only one thread of an interpreter runs at a time. Where the system spreads its threads over several cores, each of their
system calls hands the interpreter to another core, whose caches know nothing of it. On one core a thread keeps it until
it waits, and many calls at once cost a third less.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

_LOOK_S = 0.1
_BUSY, _QUIET = 0.3, 0.1
"""Shares of a core: from the one on it stays there, below the other it is let go."""

_SYSTEM = Path("/sys/devices/system/cpu")
_NEARLY = 0.8

_STARTERS = ("MainThread", "orgate-alerts", "orgate-carrier")
"""Threads that may start programs, which would have to stay there too."""


class OneCore:
    """Keeps the threads of this process on one core while they are busy; otherwise they run where the system likes."""

    def __init__(
        self,
        number: int = 0,
        *,
        used_s: Callable[[], float] = time.process_time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`number` tells processes that share the work apart; `used_s` is the processor time used so far."""
        self._number = number
        self._used_s = used_s
        self._now = now
        self._looked = self._now()
        self._used = self._used_s()
        self._stays = False
        self._has_just_left = False

    def look(self) -> None:
        """See how busy the process is, unless that was done just now; to be called often, by one of its threads."""
        now = self._now()
        if now - self._looked < _LOOK_S:
            return
        used = self._used_s()
        share = (used - self._used) / (now - self._looked)
        self._looked, self._used = now, used
        if not self._stays and share >= _BUSY:
            self._stay()
        elif self._stays and share < _QUIET:
            self._leave()
        elif self._has_just_left:
            # A thread that was just being made then has its maker's place.
            self._has_just_left = False
            _place(_allowed())

    def _stay(self) -> None:
        cores = _fast(_allowed())
        if len(cores) > 1:
            self._stays = True
            # From the last one downwards: the first ones have most of the system's own work.
            _place({cores[-1 - self._number % len(cores)]})

    def _leave(self) -> None:
        self._stays, self._has_just_left = False, True
        _place(_allowed())


def _place(cores: Set[int]) -> None:
    for thread in threading.enumerate():
        if thread.name not in _STARTERS and thread.native_id is not None:
            # One that has ended meanwhile needs no place, and where the system refuses one it does without.
            with suppress(OSError):
                os.sched_setaffinity(thread.native_id, cores)


def _allowed() -> Set[int]:
    """The cores that this process may use, by its main thread, which is left alone; none where that is not told."""
    main = threading.main_thread().native_id
    with suppress(OSError):
        if hasattr(os, "sched_setaffinity") and main is not None:
            return os.sched_getaffinity(main)
    return frozenset()


def _fast(cores: Set[int]) -> list[int]:
    """Those about as fast as the fastest of them, in their order; all where the system does not tell."""
    speeds = {core: _speed(core) for core in sorted(cores)}
    return [core for core, speed in speeds.items() if speed >= _NEARLY * max(speeds.values())]


def _speed(core: int) -> int:
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        with suppress(OSError, ValueError):
            return int((_SYSTEM / f"cpu{core}" / name).read_text())
    return 0
