"""The first calls after a start, as a person has them who starts the machine in the morning."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial

from tests.bench.candidates.base import Candidate, Service
from tests.bench.processes import NotStarted
from tests.bench.runner import Bench

_CLIENTS = (1, 8, 64)
_CALLS = 500
"""What is compiled while it runs is fast after some ten thousand calls; a person makes hundreds in a day."""

_STREAMS = 100
_WARM = 20


def measure(bench: Bench) -> None:
    """Every candidate is started anew for each number of clients, and for streams, in each repeat."""
    for _ in range(bench.repeats):
        for clients in _CLIENTS[:1] if bench.quick else _CLIENTS:
            for candidate in bench.candidates:
                _just_started(bench, candidate, partial(_calls, bench, clients))
        for candidate in bench.candidates:
            _just_started(bench, candidate, partial(_streams, bench))


def _just_started(bench: Bench, candidate: Candidate, look: Callable[[str, Service], None]) -> None:
    try:
        with bench.serving(candidate.start(bench.place(candidate.name)), warm=_WARM) as service:
            look(candidate.name, service)
    except (NotStarted, OSError, subprocess.SubprocessError) as error:
        bench.results.trouble(f"{candidate.name} could not be started: {error}")


def _calls(bench: Bench, clients: int, name: str, service: Service) -> None:
    title = f"{clients} client{'s' * (clients > 1)}"
    before = service.cpu_s()
    load = bench.generator.run(service, "fake/d0", clients=clients, calls=_CALLS)
    spent = service.cpu_s() - before
    if not bench.sound(f"young, {title}", name, load):
        return
    median = load.us("lat_us", "p50")
    bench.add("young", f"{title}, p50", "ms", name, median and median / 1000)
    bench.add("young", f"{title}, throughput", "calls/s", name, load.rps)
    if service.program:
        bench.add("young", f"{title}, processor", "µs per call", name, spent / load.ok * 1e6)


def _streams(bench: Bench, name: str, service: Service) -> None:
    calls = int(bench.extent(_STREAMS, 2))
    load = bench.generator.run(service, "fake/d0-s5-i5", calls=calls, stream=True)
    if bench.sound("young, streams", name, load):
        first = load.us("ttft_us", "p50")
        bench.add("young", "1 client, first token, p50", "ms", name, first and first / 1000)
