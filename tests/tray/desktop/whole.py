"""The tray as its owner runs it, beside `orgate serve` in front of the sandbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from app.sandbox import Sandbox
from tests.cli.processes import ORGATE, Running, orgate
from tests.tray.desktop.probes import end
from tests.waiting import PATIENCE_S

_ROOT = Path(__file__).resolve().parents[3]
_KEY = "sk-or-v1-" + "a" * 60
_MODEL = "anthropic/claude-opus-4.1"
_WORDS_A_DIME = 6600
"""So many short words cost ten cents with that model, less a tenth of one."""


@dataclass
class Place:
    """A state folder, and the gateway that runs on it."""

    folder: Path
    sandbox: Sandbox
    running: Running

    def spend(self, dimes: int, app: str = "editor") -> requests.Response:
        """A program's call that costs so many times ten cents, or a cent less."""
        text = "word " * (_WORDS_A_DIME * dimes)
        body = {"model": _MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": text}]}
        headers = {"Authorization": f"Bearer {self.token(app)}"}
        url = f"{self.running.told['base_url']}/v1/chat/completions"
        return requests.post(url, json=body, headers=headers, timeout=30)

    def looked_at(self) -> None:
        """Wait until the tray has looked again, and has said what it has to say of it."""
        # Every look that finds the gateway's figures older than a second has it ask OpenRouter. The first of these may
        # be under way already, and the last is not over when OpenRouter is asked.
        last = max((entry["n"] for entry in self.sandbox.log()), default=0)
        assert self.sandbox.wait_until(lambda log: _asked_for_credits(log, last) >= 3, PATIENCE_S)

    def token(self, app: str) -> str:
        """A program's token."""
        return orgate("token", "issue", app, "--state-dir", str(self.folder)).stdout.strip()


def _asked_for_credits(log: list[dict[str, Any]], after: int) -> int:
    return sum(entry["n"] > after and entry["path"].endswith("/credits") for entry in log)


@contextmanager
def running_place(folder: Path, sandbox: Sandbox, **settings: str) -> Iterator[Place]:
    """A gateway with its key, on a state folder of its own; settings by their names."""
    orgate("key", "set", "--state-dir", str(folder), text=_KEY)
    with serving(folder, sandbox, **settings) as running:
        yield Place(folder, sandbox, running)


@contextmanager
def serving(folder: Path, sandbox: Sandbox, **settings: str) -> Iterator[Running]:
    """`orgate serve` on this folder; its log is a file beside the folder, for whoever looks into a failure."""
    command = [ORGATE, "serve", "--port", "0", "--state-dir", str(folder), "--json"]
    environment = {**os.environ, "OPENROUTER_BASE_URL": sandbox.url, **settings}
    with (
        folder.with_suffix(".log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        try:
            assert process.stdout is not None
            yield Running(process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()


@dataclass
class Tray:
    """`orgate-tray` as a process."""

    process: subprocess.Popen[str]
    pages: Path

    def opened(self) -> list[str]:
        """The pages it has shown in the browser."""
        return self.pages.read_text().split() if self.pages.exists() else []

    def errors(self) -> str:
        """What it wrote on its standard error until its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def end(self, sign: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Its exit code after a signal, and the seconds it took."""
        start = time.monotonic()
        self.process.send_signal(sign)
        return self.process.wait(PATIENCE_S), time.monotonic() - start


@contextmanager
def running_tray(environment: Mapping[str, str], folder: Path, *options: str, **changes: str) -> Iterator[Tray]:
    """The tray on a desktop with this environment; it looks every second."""
    # Beside the state folder: a browser that only writes down what it was to show.
    browser, pages = folder.with_name("browser"), folder.with_name("pages")
    browser.write_text(f'#!/bin/sh\necho "$1" >> {pages}\n')
    browser.chmod(0o755)
    whole: dict[str, Any] = {**environment, "BROWSER": f"{browser} %s", "ORGATE_TRAY_POLL": "1", **changes}
    whole["PYTHONPATH"] = f"{_ROOT}:{environment['PYTHONPATH']}"
    command = [sys.executable, "-m", "tray", "--state-dir", str(folder), *options]
    with subprocess.Popen(command, env=whole, cwd=_ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Tray(process, pages)
        finally:
            end(process)
