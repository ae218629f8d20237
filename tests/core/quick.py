"""How long Hypothesis may look, and streams cut anywhere."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

quick = settings(deadline=None, max_examples=150)
"""Keeps every property under two seconds on two cores."""

cuts = st.lists(st.floats(0, 1), max_size=12)
"""Where to cut, as parts of the whole."""


def cut(stream: bytes, where: list[float]) -> list[bytes]:
    """The stream in pieces; some may be empty."""
    points = sorted(round(part * len(stream)) for part in where)
    return [stream[start:end] for start, end in zip([0, *points], [*points, len(stream)], strict=True)]
