"""One streamed call at a time: the first token, and what each chunk is delayed by."""

from __future__ import annotations

from tests.bench.runner import Bench


def measure(bench: Bench) -> None:
    """Twenty chunks, ten milliseconds apart, beginning at once; chunks carry the moment they were written."""
    for name, service in bench.rounds():
        calls = int(bench.extent(12, 2))
        load = bench.generator.run(service, "fake/d0-s20-i10", calls=calls, warm=1, stream=True)
        if not bench.sound("stream", name, load):
            continue
        first, chunk = load.us("ttft_us", "p50"), load.us("delay_us", "p50")
        bench.add("stream", "1 client, first token, p50", "ms", name, first and first / 1000)
        bench.add("stream", "1 client, delay per chunk, p50", "ms", name, chunk and chunk / 1000)
