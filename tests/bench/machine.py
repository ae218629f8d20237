"""The machine the figures are from, and how much of it others used meanwhile."""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def described() -> dict[str, Any]:
    """What one must know to compare figures of two runs."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


@dataclass(frozen=True)
class Busy:
    """Seconds of processor time: all of the machine's, and those spent by the whole system on something."""

    all_s: float
    used_s: float


def busy() -> Busy:
    """So far, over all cores."""
    fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    idle = fields[3] + fields[4]
    return Busy(sum(fields) / ticks, (sum(fields) - idle) / ticks)


def own_s() -> float:
    """Processor time of this process and of its children that have ended, in seconds."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def foreign_share(before: Busy, after: Busy, ours_s: float) -> float:
    """Which part of the machine programs of others used between two moments, 0 to 1."""
    whole = after.all_s - before.all_s
    return min(1.0, max(0.0, after.used_s - before.used_s - ours_s) / whole) if whole > 0 else 0.0


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
