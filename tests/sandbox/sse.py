from __future__ import annotations

import json
from typing import Any


def events(body: bytes) -> list[dict[str, Any]]:
    """The JSON events of a stream, in order."""
    lines = (line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith(b"data: {"))
    return [json.loads(line) for line in lines]


def content(body: bytes) -> str:
    """All content of a stream, joined."""
    return "".join(choice["delta"].get("content") or "" for event in events(body) for choice in event["choices"])
