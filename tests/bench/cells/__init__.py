"""What is measured, one module each; `CELLS` is what --cells chooses from."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.cells import cold, growth, health, install, plain, start, stream, streams, young
from tests.bench.runner import Bench

CELLS: dict[str, Callable[[Bench], None]] = {
    "young": young.measure,
    "plain": plain.measure,
    "stream": stream.measure,
    "streams": streams.measure,
    "health": health.measure,
    "start": start.measure,
    "install": install.measure,
    "cold": cold.measure,
    "growth": growth.measure,
}
