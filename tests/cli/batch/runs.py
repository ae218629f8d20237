"""`orgate batch` as a process of its own, beside a gateway and the sandbox's bill."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.sandbox import Sandbox
from tests.cli.processes import ORGATE
from tests.gateway import Gateway

MODEL = "openai/gpt-4o-mini"


def write(path: Path, lines: Sequence[Any]) -> Path:
    """A file with these values, one JSON text a line."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def prompts(count: int) -> list[str]:
    """Prompts that can be told apart in the sandbox's answers."""
    return [f"prompt{number}" for number in range(1, count + 1)]


def rows(path: Path) -> list[dict[str, Any]]:
    """The lines of an output."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def text_of(row: Mapping[str, Any]) -> str:
    """What the model said in a line of output."""
    return str(row["response"]["body"]["choices"][0]["message"]["content"])


@dataclass
class Batches:
    """A folder with an input, and runs of the command on it."""

    folder: Path
    environment: Mapping[str, str]
    gateway: Gateway | None = None
    """The one in the test's own process, where that is meant."""
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "in.jsonl"

    @property
    def target(self) -> Path:
        return self.folder / "out.jsonl"

    @property
    def journal(self) -> Path:
        return self.folder / "out.jsonl.part"

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a run."""
        process = subprocess.Popen(
            [ORGATE, "batch", "in.jsonl", "out.jsonl", "--model", MODEL, *options],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def run(self, *options: str) -> tuple[int, str]:
        """A run to its end: exit code, and what it said to people."""
        process = self.start(*options)
        _, told = process.communicate(timeout=120)
        return process.returncode, told

    def end(self) -> None:
        """End what still runs."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=20)


def batches(folder: Path, gateway: Gateway, app: str = "batch", **grant: Any) -> Batches:
    """Runs against this gateway, as an app of their own."""
    environment = {"ORGATE_URL": gateway.base_url, "ORGATE_TOKEN": gateway.token(app, **grant)}
    return Batches(folder, environment, gateway)


def billed(sandbox: Sandbox) -> list[str]:
    """The ids of all generations that were charged."""
    return [row["id"] for row in sandbox.bill()["generations"]]


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The calls that the sandbox saw."""
    return [row for row in sandbox.log() if row["method"] == "POST"]


def check_whole(target: Path, sandbox: Sandbox, asked: Sequence[str]) -> None:
    """Every prompt has its own answer at its own place, each generation was paid once, and the costs are the bill's."""
    found, bill = rows(target), sandbox.bill()
    assert [f"line-{number}" for number in range(1, len(asked) + 1)] == [row["custom_id"] for row in found]
    assert [] == [row for row, prompt in zip(found, asked, strict=True) if f"“{prompt}”" not in text_of(row)]
    assert sorted(row["id"] for row in bill["generations"]) == sorted(row["response"]["body"]["id"] for row in found)
    assert Decimal(bill["total_cost"]) == sum(Decimal(row["cost"]) for row in found)
