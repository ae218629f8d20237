"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """The Clock port on the operating system's clocks."""

    # The system's own functions and no methods around them: a call asks for the time two dozen times.
    now = staticmethod(time.time)
    """Seconds since 1970, UTC."""

    monotonic = staticmethod(time.monotonic)
    """Seconds that only ever grow."""
