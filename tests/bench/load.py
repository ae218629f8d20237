"""One run of the load generator."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.candidates.base import Service


@dataclass(frozen=True)
class Load:
    """What came of it: times in microseconds, as the generator's JSON has them."""

    ok: int
    failed: int
    rps: float
    raw: dict[str, Any]

    def us(self, what: str, rank: str) -> float | None:
        """One of lat_us, ttft_us, delay_us at p50, p99, …; None when there was nothing to measure."""
        found = self.raw.get(what)
        return None if found is None else float(found[rank])


@dataclass(frozen=True)
class Generator:
    """The program, and how long it may take over what it was told to."""

    program: Path
    patience_s: float = 30

    def run(
        self,
        service: Service,
        model: str,
        *,
        clients: int = 1,
        seconds: float | None = None,
        calls: int | None = None,
        warm: int = 0,
        ramp_ms: int = 0,
        stream: bool = False,
    ) -> Load:
        """Calls one after the other on each of the clients' connections, for so long or so many."""
        command = [str(self.program), "-p", str(service.port), "-P", service.path, "-m", service.named(model)]
        command += ["-c", str(clients), "-w", str(warm), "-r", str(ramp_ms), "-T", str(self.patience_s)]
        command += ["-t", str(seconds)] if seconds is not None else ["-n", str(calls)]
        command += ["-s"] if stream else []
        command += ["-a"] if service.anthropic else []
        for header in service.headers:
            command += ["-H", header]
        limit = (seconds or 0) + self.patience_s + 20
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit)
        raw = json.loads(told.stdout)
        return Load(raw["ok"], raw["errors"] + raw["conn_errors"] + raw["unfinished"], raw["rps"], raw)
