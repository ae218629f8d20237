"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """The Clock port on the operating system's clocks."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()
