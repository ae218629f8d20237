"""waitress's loop over its connections, for those few that anything happens to."""

from __future__ import annotations

import select
import time
from collections import deque
from typing import Any

from waitress import wasyncore

_SWEEP_S = 1.0


class Open(dict[int, Any]):
    """What waitress has open, by descriptor: its channels, its listening sockets and its trigger."""

    def __init__(self) -> None:
        super().__init__()
        self.doubted: deque[int] = deque()
        """Those of which it is to be asked anew what they wait for."""

    def __setitem__(self, descriptor: int, one: Any) -> None:  # waitress's own types
        super().__setitem__(descriptor, one)
        self.doubted.append(descriptor)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self.doubted.append(descriptor)

    def doubt(self, descriptor: int | None) -> None:
        """What this one waits for may have changed; None is one that was closed. Any thread may say so."""
        if descriptor is not None:
            self.doubted.append(descriptor)


class Loop:
    """
    Waits for events, and has waitress's objects handle them.

    waitress asks each of its connections before every wait what it waits for, which took a microsecond for each that
    was open. Here one is asked after something happened to it, or was said to; and all of them once a second.
    """

    def __init__(self, open: Open) -> None:
        self._open = open
        # Where the system has none (Windows), waitress's own loop goes on as it does.
        self._poll: Any = select.poll() if hasattr(select, "poll") else None
        self._wanted: dict[int, int] = {}
        self._listeners: list[int] = []
        self._count = 0
        self._next_sweep = 0.0

    def turn(self, timeout_s: float) -> None:
        """Wait for the next events, and handle them."""
        if self._poll is None:
            self._open.doubted.clear()
            wasyncore.loop(timeout_s, map=self._open, count=1)
            return
        self._ask()
        for descriptor, flags in self._poll.poll(timeout_s * 1000):
            one = self._open.get(descriptor)
            if one is not None:
                wasyncore.readwrite(one, flags)
            self._open.doubted.append(descriptor)

    def _ask(self) -> None:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_S
            # A copy: a task may find its connection broken meanwhile, and close it.
            everyone = list(self._open.items())
            self._listeners = [descriptor for descriptor, one in everyone if one.accepting]
            self._open.doubted.extend(descriptor for descriptor, _ in everyone)
        if len(self._open) != self._count:
            # Whether they accept depends on how many others there are.
            self._count = len(self._open)
            self._open.doubted.extend(self._listeners)
        # No more than there are now: what other threads add meanwhile has rung, and ends the wait at once.
        for _ in range(len(self._open.doubted)):
            self._want(self._open.doubted.popleft())

    def _want(self, descriptor: int) -> None:
        one = self._open.get(descriptor)
        wanted = 0 if one is None else _wanted(one)
        if wanted == self._wanted.get(descriptor, 0):
            return
        if wanted:
            self._poll.register(descriptor, wanted)
            self._wanted[descriptor] = wanted
        else:
            self._poll.unregister(descriptor)
            del self._wanted[descriptor]


def _wanted(one: Any) -> int:  # any of waitress's objects
    """What it waits for, as it tells waitress's own loop."""
    reads = select.POLLIN if one.readable() else 0
    # Not for urgent bytes, as waitress's does: it does not take them, and would be told of them without end.
    return reads | (select.POLLOUT if one.writable() and not one.accepting else 0)
