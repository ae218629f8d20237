"""Where clients find the gateway, and what of an answer is the same wherever it was asked for."""

from __future__ import annotations

from typing import Any

MOUNTS = ("/api/openrouter", "/v1", "/api/v1")

_OWN = ("id", "created")


def likeness(answer: Any) -> Any:
    """A client library's answer as plain data, without what differs between two equal calls."""
    if isinstance(answer, list):
        return [likeness(part) for part in answer]
    data = answer if isinstance(answer, dict) else answer.model_dump(mode="json")
    return {name: value for name, value in data.items() if name not in _OWN}
