"""What the gateway's processes take of the machine, together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

if sys.platform != "win32":
    import resource

_PROCESSOR = "process_cpu_seconds"
_OF_ALL = frozenset({"process_virtual_memory_bytes", "process_resident_memory_bytes", _PROCESSOR, "process_open_fds"})
"""What is added up; the others are this process's own."""


class Processes(Collector):
    """The library's figures of a process, for this one and the others."""

    def __init__(self) -> None:
        self.others: Callable[[], Sequence[int]] | None = None
        """The ids of the other processes; None where there never is one."""
        self._most = 0.0
        self._own = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Metric]:
        """The figures as of now."""
        mine = list(self._own.collect())
        if self.others is None:
            return mine
        others = [metric for pid in self.others() for metric in _of(pid)]
        for metric in mine:
            if metric.name not in _OF_ALL:
                continue
            value = sum(one.samples[0].value for one in (metric, *others) if one.name == metric.name)
            if metric.name == _PROCESSOR:
                # One that has ended is only here any more; in between its time is nowhere, and a counter never falls.
                self._most = value = max(self._most, value + _ended_s())
            metric.samples[0] = metric.samples[0]._replace(value=value)
        return mine


def _of(pid: int) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: pid, registry=CollectorRegistry()).collect()


def _ended_s() -> float:
    """Processor time of the processes that were started here and have ended."""
    if sys.platform == "win32":
        return 0.0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
