"""A real `orgate serve` in a process of its own, and the other commands beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ORGATE = Path(sys.executable).with_name("orgate")
_OURS = ("OPENROUTER_", "ORGATE_", "DEBUG", "LOG_LEVEL")


@dataclass
class Served:
    """A gateway that runs by itself; `log` is what it wrote to standard error, complete once it has ended."""

    base_url: str
    state: Path
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[str]

    def stop(self) -> tuple[int, str]:
        """End it with SIGTERM: exit status, and all it wrote to standard output and standard error."""
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=15)
        return self.process.returncode, f"{rest}{self.log.read_text('utf-8')}"


def orgate(
    state: Path, environment: Mapping[str, str], *arguments: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command on this state folder to its end."""
    return subprocess.run(
        [ORGATE, *arguments, "--state-dir", state],
        env=_environment(state, environment),
        cwd=state,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def served(state: Path, environment: Mapping[str, str]) -> Iterator[Served]:
    """A gateway that answers, on any free port; it is ended in any case."""
    log = state.with_suffix(".log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [ORGATE, "serve", "--port", "0", "--json", "--state-dir", state],
            env=_environment(state, environment),
            cwd=state,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, log.read_text("utf-8")
            yield Served(json.loads(first)["base_url"], state, log, environment, process)
        finally:
            process.kill()


def _environment(state: Path, settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "HOME": str(state), **settings}
