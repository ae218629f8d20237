"""Whether the gateway stays what it was: after many calls, many chunks, with a large ledger and a large catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack

from tests.bench.candidates.base import Service
from tests.bench.candidates.orgate import ROOT, run, serve
from tests.bench.rows import write_rows
from tests.bench.runner import Bench

_NAME = "orgate"


def measure(bench: Bench) -> None:
    """Each promise of constancy on its own."""
    _calls(bench)
    _chunks(bench)
    _sizes(bench)


def _calls(bench: Bench) -> None:
    many = int(bench.extent(10_000, 300))
    with bench.serving(serve(bench.place("calls"), _url(bench))) as service:
        for _ in range(bench.repeats):
            _cost(bench, service, "processor after 100 calls")
        bench.generator.run(service, "fake/d0", clients=8, calls=many)
        for _ in range(bench.repeats):
            _cost(bench, service, f"processor after {many} calls")


def _chunks(bench: Bench) -> None:
    """Twenty streams at once, each with five thousand chunks, one a millisecond."""
    rounds = int(bench.extent(10, 0))
    with bench.serving(serve(bench.place("chunks"), _url(bench))) as service:
        assert service.program is not None
        done = 0
        for number in range(rounds + 1):
            count, model, chunks = (20, "fake/d0-s5000-i1", 5000) if rounds else (10, "fake/d0-s20-i10", 20)
            load = bench.generator.run(service, model, clients=count, calls=count, stream=True)
            bench.sound("growth, chunks", _NAME, load)
            done += load.ok * chunks
            if number in (0, rounds // 2, rounds):
                bench.add("growth", f"memory after {done} chunks", "MB", _NAME, service.program.memory_mb())


def _sizes(bench: Bench) -> None:
    """The same calls with little and with much behind the gateway, in turn."""
    rows, entries = int(bench.extent(1_000_000, 2_000)), int(bench.extent(5_000, 500))
    large, usual = bench.place("rows"), bench.place("usual")
    write_rows(large.folder / "state", rows)
    with ExitStack() as stack:
        services = {
            "an empty ledger, 400 models": serve(usual, _url(bench)),
            f"a ledger of {rows} rows": serve(large, _url(bench)),
            f"{entries} models": serve(bench.place("models"), f"http://127.0.0.1:{bench.new_upstream(entries)}/api/v1"),
        }
        for service in services.values():
            stack.enter_context(bench.serving(service))
        for _ in range(bench.repeats):
            for title, service in services.items():
                _cost(bench, service, f"processor with {title}", f"p50 with {title}")
        environment = {
            "PYTHONPATH": str(ROOT),
            "HOME": str(large.folder),
            "ORGATE_STATE_DIR": str(large.folder / "state"),
        }
        for _ in range(bench.repeats):
            for by in ("day", "model"):
                _usage(bench, environment, by, rows)


def _cost(bench: Bench, service: Service, processor: str, median: str | None = None) -> None:
    calls = int(bench.extent(500, 20))
    before = service.cpu_s()
    load = bench.generator.run(service, "fake/d0", calls=calls)
    spent = service.cpu_s() - before
    if not bench.sound(f"growth, {processor}", _NAME, load):
        return
    bench.add("growth", processor, "µs per call", _NAME, spent / load.ok * 1e6)
    if median:
        value = load.us("lat_us", "p50")
        bench.add("growth", median, "ms", _NAME, value and value / 1000)


def _usage(bench: Bench, environment: Mapping[str, str], by: str, rows: int) -> None:
    began = time.perf_counter()
    run(environment, "usage", "--by", by, "--since", "all", "--json")
    bench.add("growth", f"orgate usage --by {by}, {rows} rows", "s", _NAME, time.perf_counter() - began)


def _url(bench: Bench) -> str:
    return f"http://127.0.0.1:{bench.upstream}/api/v1"
