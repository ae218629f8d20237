"""Time, as a port: the real one, and noticing that the computer slept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

_SLEEP_S = 30.0
"""A loaded machine may be late by seconds; whoever is later than this has slept."""


class Clock(Protocol):
    """What time it is."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...


class SystemClock:
    """The computer's own time."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()


@dataclass(frozen=True)
class Pulse:
    """Both clocks at one moment, in seconds."""

    wall: float
    steady: float


def slept(before: Pulse, after: Pulse, meant_s: float) -> bool:
    """
    Whether the computer slept between two pulses that were meant to be so many seconds apart.

    The steady clock stands still in sleep on Linux and macOS, and goes on in it on Windows; the wall clock always goes
    on. A wall clock that was set looks like sleep when it jumps ahead, which does no harm.
    """
    passed = after.steady - before.steady
    return (after.wall - before.wall) - passed > _SLEEP_S or passed - meant_s > _SLEEP_S
