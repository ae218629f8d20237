"""How long a candidate takes to be there, and the memory it has when it has answered once."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time

from tests.bench.candidates.base import Candidate, Service
from tests.bench.processes import NotStarted
from tests.bench.runner import READY_S, Bench

_REFERENCE = "import flask, sqlalchemy"


def measure(bench: Bench) -> None:
    """From the start of the process until something answers over HTTP; for comparison a bare import in Python."""
    for _ in range(bench.repeats):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", _REFERENCE], check=True, timeout=60)
        reference = time.perf_counter() - began
        bench.add("start", f'python -c "{_REFERENCE}"', "s", "orgate", reference)
        for candidate in bench.candidates:
            if candidate.name != "direct":
                _start(bench, candidate, reference)


def _start(bench: Bench, candidate: Candidate, reference: float) -> None:
    service = None
    try:
        service = candidate.start(bench.place(candidate.name))
        ready = _ready(service)
        bench.add("start", "ready", "s", candidate.name, ready)
        bench.add("start", "ready, against that import", "times", candidate.name, ready / reference)
        load = bench.generator.run(service, "fake/d0", calls=1)
        if service.program and load.ok:
            bench.add("start", "memory after the first answer", "MB", candidate.name, service.program.memory_mb())
    except (NotStarted, OSError, subprocess.SubprocessError) as error:
        bench.results.trouble(f"{candidate.name} could not be started: {error}")
    finally:
        if service:
            service.stop()


def _ready(service: Service) -> float:
    """Seconds from the start until any answer; raises NotStarted."""
    assert service.program is not None
    program = service.program
    while time.perf_counter() < program.began + READY_S and program.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
        try:
            connection.request("GET", service.health or "/")
            connection.getresponse().read()
            return time.perf_counter() - program.began
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
        finally:
            connection.close()
    raise NotStarted(program.log.read_text(errors="replace")[-400:].strip())
