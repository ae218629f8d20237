"""What makes a program use the gateway, as data."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SHELL = "In your shell"


@dataclass(frozen=True)
class Target:
    """The gateway as a program has to know it."""

    base_url: str
    """Without a path, such as http://127.0.0.1:6767."""
    token: str
    model: str

    @property
    def openai(self) -> str:
        """The address for programs that speak OpenAI's protocol."""
        return f"{self.base_url}/v1"

    @property
    def openrouter(self) -> str:
        """The address for programs written for OpenRouter."""
        return f"{self.base_url}/api/v1"


@dataclass(frozen=True)
class Piece:
    """A text to paste, and where it belongs."""

    where: str
    text: str


@dataclass(frozen=True)
class Launch:
    """How a program is started so that it needs no file: variables, and arguments before the user's own."""

    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Variables that would lead it past the gateway."""


@dataclass(frozen=True)
class Setup:
    """A program's configuration for one target."""

    pieces: tuple[Piece, ...]
    launch: Launch | None = None
    """None where a program takes its address only from files of its own."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Client:
    """A program, how it is set up, and how it is had."""

    name: str
    """On the command line, and as the app of its token."""
    title: str
    model: str
    """The model it is set up for when none is named."""
    setup: Callable[[Target], Setup]
    program: str | None = None
    """What `orgate run` starts."""
    install: str = ""
    wishes: Mapping[str, str] = field(default_factory=dict)
    """What its first token wishes for its calls (core/wishes.py)."""


PATIENT = {"queue": "60"}
"""Agents call in bursts, and give their work up at a 429: they rather wait for their quota."""


def exports(environment: Mapping[str, str]) -> Piece:
    """The variables as lines for the shell."""
    if os.name == "nt":
        lines = [f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in environment.items()]
    else:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return Piece(SHELL, "\n".join(lines))
