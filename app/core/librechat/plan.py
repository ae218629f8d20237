"""What is taken over from a librechat.yaml, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.errors import Json


class NothingToImport(Exception):
    """The file holds no custom endpoint of OpenRouter; the message says what it holds instead."""


@dataclass
class Plan:
    """The result so far; who reads a part of the file adds to it."""

    settings: dict[str, Json] = field(default_factory=dict)
    """Lines for config.toml, by their names there."""
    agents: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    """The fields of each agent's file in the document's spelling, by the file's stem."""
    todo: list[str] = field(default_factory=list)
    """What is left to the owner, a sentence each."""
    left_out: list[str] = field(default_factory=list)
    """What was not taken over and why, a sentence each."""

    def leave(self, what: str, why: str) -> None:
        """Note a part that was not taken over."""
        self.left_out.append(f"{what}: {why}")
