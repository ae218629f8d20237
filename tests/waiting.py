"""Waiting for something to come about in another process, which cannot set an event here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 20.0

T = TypeVar("T")


def eventually(look: Callable[[], T], accept: Callable[[T], bool] = bool, within_s: float = PATIENCE_S) -> T:
    """What `look` brings once it is accepted; fails with what it brought last."""
    end = time.monotonic() + within_s
    while not accept(seen := look()):
        assert time.monotonic() < end, f"still {seen!r} after {within_s} s"
        time.sleep(0.02)
    return seen
