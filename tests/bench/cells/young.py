"""The first calls after a start, as a person has them who starts the machine in the morning."""

from __future__ import annotations

import subprocess

from tests.bench.candidates.base import Candidate
from tests.bench.processes import NotStarted
from tests.bench.runner import Bench

_CLIENTS = (1, 8, 64)
_CALLS = 500
"""What is compiled while it runs is fast after some ten thousand calls; a person makes hundreds in a day."""

_WARM = 20


def measure(bench: Bench) -> None:
    """Every candidate is started anew for each number of clients in each repeat."""
    for _ in range(bench.repeats):
        for clients in _CLIENTS[:1] if bench.quick else _CLIENTS:
            for candidate in bench.candidates:
                _first_calls(bench, candidate, clients)


def _first_calls(bench: Bench, candidate: Candidate, clients: int) -> None:
    title = f"{clients} client{'s' * (clients > 1)}"
    try:
        with bench.serving(candidate.start(bench.place(candidate.name)), warm=_WARM) as service:
            before = service.cpu_s()
            load = bench.generator.run(service, "fake/d0", clients=clients, calls=_CALLS)
            spent = service.cpu_s() - before
    except (NotStarted, OSError, subprocess.SubprocessError) as error:
        bench.results.trouble(f"{candidate.name} could not be started: {error}")
        return
    if not bench.sound(f"young, {title}", candidate.name, load):
        return
    median = load.us("lat_us", "p50")
    bench.add("young", f"{title}, p50", "ms", candidate.name, median and median / 1000)
    bench.add("young", f"{title}, throughput", "calls/s", candidate.name, load.rps)
    if service.program:
        bench.add("young", f"{title}, processor", "µs per call", candidate.name, spent / load.ok * 1e6)
