"""Programs that the benchmark starts: their readiness, processor time and memory, and their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class NotStarted(Exception):
    """A program ended, or did not answer in time."""


@dataclass
class Program:
    """A program in a session of its own, so that its children are known as its own."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float

    def pids(self) -> list[int]:
        """It and its children, those that are alive."""
        return [pid for pid in _all_pids() if _session(pid) == self.process.pid]

    def cpu_s(self) -> float:
        """Processor time so far, in seconds, of it and its living children."""
        total = 0.0
        for pid in self.pids():
            with suppress(OSError):
                # The clock of another process, as clock_getcpuclockid(3) would name it: in nanoseconds, where
                # /proc counts in hundredths of a second.
                total += time.clock_gettime((~pid << 3) | 2)
        return total

    def memory_mb(self) -> float:
        """Memory that is its own, shared pages divided among those who share them, in MB."""
        total = sum(_memory_kb(pid) for pid in self.pids())
        return total / 1000

    def stop(self, within_s: float = 12) -> None:
        """End it and what it started; only these."""
        children = [pid for pid in self.pids() if pid != self.process.pid]
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(within_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in children:
            with suppress(OSError):
                if _session(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + within_s
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.005)


def start(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> Program:
    """The program, running; what it writes goes to a file in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("ab") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**clean_environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Program(process, log, began)


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(program: Program, port: int, within_s: float) -> None:
    """Return when something listens there; raises NotStarted with the end of the program's log."""
    deadline = time.perf_counter() + within_s
    while time.perf_counter() < deadline and program.process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.002)
    end = program.log.read_text(errors="replace")[-600:].strip()
    raise NotStarted(f"nothing listens after {time.perf_counter() - program.began:.0f} s: {end}")


def clean_environment() -> dict[str, str]:
    """
    This process's, without the owner's keys and settings, and without proxies.

    Python keeps its compiled modules, as it does for whoever has installed a candidate.
    """
    unwanted = ("OPENROUTER_", "ORGATE_", "DEBUG", "LOG_LEVEL", "PYTHONDONTWRITEBYTECODE")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(unwanted) and not name.endswith("_API_KEY") and not name.lower().endswith("_proxy")
    }


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _memory_kb(pid: int) -> int:
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1])
    return 0


def _session(pid: int) -> int | None:
    """The session of a process that lives."""
    try:
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return None
    return None if state in "ZX" else int(session)
