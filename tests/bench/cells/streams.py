"""Many streams at once: whether all of them hold, how late their chunks are, and what that costs."""

from __future__ import annotations

import threading

from tests.bench.candidates.base import Service
from tests.bench.runner import Bench

_CHUNKS = 250


def measure(bench: Bench) -> None:
    """Each stream has fifty chunks a second for five seconds (quick: two)."""
    for count in (10,) if bench.quick else (10, 100, 400):
        model, chunks = ("fake/d0-s100-i20", 100) if bench.quick else ("fake/d0-s250-i20", _CHUNKS)
        for name, service in bench.rounds():
            before = service.cpu_s()
            with _Peak(service) as peak:
                load = bench.generator.run(service, model, clients=count, calls=count, ramp_ms=200, stream=True)
            spent = service.cpu_s() - before
            title = f"{count} streams"
            bench.add("streams", f"{title}, held to the end", "", name, load.ok)
            if not bench.sound(title, name, load):
                continue
            for what, rank, label in (
                ("ttft_us", "p50", "first token, p50"),
                ("delay_us", "p50", "delay per chunk, p50"),
                ("delay_us", "p99", "delay per chunk, p99"),
            ):
                value = load.us(what, rank)
                bench.add("streams", f"{title}, {label}", "ms", name, value and value / 1000)
            if service.program:
                bench.add("streams", f"{title}, processor", "µs per chunk", name, spent / (load.ok * chunks) * 1e6)
                bench.add("streams", f"{title}, memory", "MB", name, peak.mb)


class _Peak:
    """The most memory a service had while a block ran, looked at five times a second."""

    def __init__(self, service: Service) -> None:
        self._program = service.program
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self.mb = 0.0

    def __enter__(self) -> _Peak:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while self._program and not self._over.wait(0.2):
            self.mb = max(self.mb, self._program.memory_mb())
