"""Plain calls: how long one takes, how many a second, and what one costs the processor."""

from __future__ import annotations

from tests.bench.runner import Bench

_CASES = (
    ("1 client", "fake/d0", 1),
    ("8 clients", "fake/d0", 8),
    ("64 clients", "fake/d0", 64),
    ("64 clients, upstream takes 50 ms", "fake/d50", 64),
)


def measure(bench: Bench) -> None:
    """The upstream answers 1.4 kB at once, or after 50 ms."""
    for title, model, clients in _CASES[:1] if bench.quick else _CASES:
        for name, service in bench.rounds():
            before = service.cpu_s()
            load = bench.generator.run(
                service, model, clients=clients, seconds=bench.extent(1.5, 0.3), warm=clients, ramp_ms=clients
            )
            spent = service.cpu_s() - before
            if not bench.sound(f"plain, {title}", name, load):
                continue
            median, slow = load.us("lat_us", "p50"), load.us("lat_us", "p99")
            bench.add("plain", f"{title}, p50", "ms", name, median and median / 1000)
            bench.add("plain", f"{title}, p99", "ms", name, slow and slow / 1000)
            bench.add("plain", f"{title}, throughput", "calls/s", name, load.rps)
            if service.program:
                bench.add("plain", f"{title}, processor", "µs per call", name, spent / load.ok * 1e6)
