"""The orgate command as its users start it: a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORGATE = str(Path(sys.executable).with_name("orgate"))


def orgate(*arguments: str, text: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; settings by their names."""
    return subprocess.run(
        [ORGATE, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


@dataclass
class Running:
    """A command that goes on, and what it said first."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal; its exit code."""
        self.process.send_signal(sign)
        return self.process.wait(20)


def full_pipe() -> tuple[int, int]:
    """The reading and the writing end of a pipe that takes nothing more until it is read from."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b" ")
    os.set_blocking(writing, True)
    return reading, writing


@contextmanager
def started(*arguments: str, alone: bool = False, **environment: str) -> Iterator[Running]:
    """A command with --json, from the moment its first line is there; alone, as in a terminal of its own."""
    process = subprocess.Popen(
        [ORGATE, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=alone,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Running(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)
