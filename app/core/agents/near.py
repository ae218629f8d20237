"""What somebody may have meant who wrote something else."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def hint(name: str, known: Iterable[str], shown: Callable[[str], str] = str) -> str:
    """A question to put behind a message (" Did you mean …?"), or nothing where no known name is near."""
    near = difflib.get_close_matches(name[:64], list(known), 1)
    return f" Did you mean {shown(near[0])}?" if near else ""
