"""What the benchmark must know of each candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.processes import Program

KEY = "sk-or-v1-" + "be" * 32
"""What stands for an OpenRouter key; nobody checks it."""

MODELS = ("fake/d0", "fake/d50", "fake/d0-s20-i10", "fake/d0-s250-i20", "fake/d0-s100-i20", "fake/d0-s5000-i1")
"""What is asked for. The upstream reads from the name what it shall do; see the head of upstream.c."""


def unchanged(model: str) -> str:
    """The model by its own name."""
    return model


@dataclass
class Service:
    """A candidate that answers: where, and how it is spoken to."""

    port: int
    path: str
    headers: tuple[str, ...] = ()
    program: Program | None = None
    named: Callable[[str], str] = unchanged
    """How it calls a model of the upstream."""
    anthropic: bool = False
    """It is asked in the style of Anthropic's Messages."""
    health: str | None = None

    def cpu_s(self) -> float:
        """Processor time so far, in seconds."""
        return self.program.cpu_s() if self.program else 0.0

    def stop(self) -> None:
        """End it."""
        if self.program:
            self.program.stop()


@dataclass(frozen=True)
class Place:
    """Where a candidate is started, and in front of what."""

    folder: Path
    upstream: int
    """The upstream's port."""
    prefix: Path
    """Where peers are installed, each in a folder with its name."""

    @property
    def upstream_url(self) -> str:
        """The upstream's address as OpenRouter's is given."""
        return f"http://127.0.0.1:{self.upstream}/api/v1"


class Candidate(Protocol):
    """Somebody who is compared."""

    name: str

    def missing(self, prefix: Path) -> str | None:
        """How to install it, when it is not there."""

    def start(self, place: Place) -> Service:
        """Start it; it may not be ready yet. Raises NotStarted."""

    def installed(self, prefix: Path) -> Path | None:
        """The folder that holds nothing but it and what it needs; None when there is no such folder."""
