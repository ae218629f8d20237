"""What `orgate doctor` looks at, one concern per module; each check is a function that returns a Finding."""

from __future__ import annotations

from dataclasses import dataclass

OK, HINT, BAD, SKIPPED = "ok", "hint", "bad", "skipped"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    state: str
    told: str
    fix: str = ""
    """What to do; the first fix of a bad finding is the doctor's last line."""
