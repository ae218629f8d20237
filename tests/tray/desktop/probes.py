"""The small tray program as a process, and how a test speaks to it."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tray.desktop.desktop import Desktop
from tests.waiting import PATIENCE_S

_ROOT = Path(__file__).resolve().parents[3]


class Probe:
    """A running probe; see probe.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._told: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._kept: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def told(self, name: str, within_s: float = PATIENCE_S) -> Any:
        """The next thing it tells under this name; what it tells under others is kept for later."""
        for fact in self._kept:
            if name in fact:
                self._kept.remove(fact)
                return fact[name]
        end = time.monotonic() + within_s
        while True:
            fact = self._told.get(timeout=max(0.0, end - time.monotonic()))
            assert fact is not None, f"the probe ended: {self.process.wait(5)}"
            if name in fact:
                return fact[name]
            self._kept.append(fact)

    def quiet(self, name: str) -> bool:
        """Whether it told nothing under this name so far."""
        while not self._told.empty():
            if (fact := self._told.get()) is not None:
                self._kept.append(fact)
        return not any(name in fact for fact in self._kept)

    def do(self, task: str, details: Any = None) -> None:
        """Have it do something, and wait until it did."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({task: details}) + "\n")
        self.process.stdin.flush()
        assert self.told("done") == task

    def show(self, colour: str, title: str, *rows: Any) -> None:
        """Have it show a tile, a title and rows."""
        self.do("show", {"colour": colour, "title": title, "rows": rows})

    def send(self, key: str, title: str, body: str = "", **rest: Any) -> None:
        """Have it send a message."""
        self.do("send", {"key": key, "title": title, "body": body, **rest})

    def end(self, sign: signal.Signals | None = None) -> tuple[int, float]:
        """Its exit code after a signal, and the seconds it took."""
        start = time.monotonic()
        if sign is not None:
            self.process.send_signal(sign)
        return self.process.wait(PATIENCE_S), time.monotonic() - start

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._told.put(json.loads(line))
        self._told.put(None)


@contextmanager
def running_probe(desktop: Desktop, changes: Mapping[str, str | None]) -> Iterator[Probe]:
    """A probe on this desktop, in an environment with these changes."""
    environment = {**desktop.environment, **changes}
    environment["PYTHONPATH"] = ":".join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tray.desktop.probe"],
        env={name: value for name, value in environment.items() if value is not None},
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Probe(process)
        finally:
            end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a program kindly, so that what was measured of it is kept; and in any case."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
