"""Agents for tests: files as the owner writes them."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, id: str, text: str) -> Path:
    """The file of an agent in the state folder of a gateway."""
    place = folder / "agents"
    place.mkdir(exist_ok=True)
    path = place / f"{id}.toml"
    path.write_text(text)
    return path
