"""Whether a candidate still tells how it is while many streams run."""

from __future__ import annotations

import http.client
import threading
import time

from tests.bench.candidates.base import Service
from tests.bench.figures import percentile
from tests.bench.runner import Bench

_EVERY_S = 0.02


def measure(bench: Bench) -> None:
    """Its health address is asked fifty times a second while 256 streams (quick: 16) are delivered."""
    count, model = (16, "fake/d0-s100-i20") if bench.quick else (256, "fake/d0-s250-i20")
    for name, service in bench.rounds():
        if service.health is None:
            continue
        over = threading.Event()
        times: list[float] = []
        asking = threading.Thread(target=_ask, args=(service, over, times))
        asking.start()
        try:
            load = bench.generator.run(service, model, clients=count, calls=count, ramp_ms=200, stream=True)
        finally:
            over.set()
            asking.join()
        bench.sound(f"health, {count} streams", name, load)
        if times:
            bench.add("health", f"while {count} streams run, p50", "ms", name, percentile(times, 0.5) * 1000)
            bench.add("health", f"while {count} streams run, p99", "ms", name, percentile(times, 0.99) * 1000)


def _ask(service: Service, over: threading.Event, times: list[float]) -> None:
    """An answer that does not come within five seconds counts as five seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
    try:
        while not over.wait(_EVERY_S):
            began = time.perf_counter()
            try:
                connection.request("GET", service.health or "/")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
            times.append(time.perf_counter() - began)
    finally:
        connection.close()
