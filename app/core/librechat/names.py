"""Names of agents' files."""

from __future__ import annotations

import re
from collections.abc import Container

_LONGEST = 60


def free_id(name: str, taken: Container[str]) -> str:
    """A file's stem for this name, by which no other one goes."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST] or "agent"
    numbers = iter(range(2, 10_000))
    found = plain
    while found in taken:
        found = f"{plain}-{next(numbers)}"
    return found
