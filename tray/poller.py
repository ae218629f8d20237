"""The one thread that looks at the gateway, at its own pace or when asked, and in which everything else happens."""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable

from tray.clock import Clock, Pulse, slept
from tray.reading import Reading

_log = logging.getLogger("orgate.tray")

LONGEST_S = 300.0
"""The longest pause between two looks, however many have failed."""

_FIRST_RETRY_S = 5.0
_SLICE_S = 5.0
"""So often it is noticed that the computer slept, or that a gateway started or ended."""


def pause_s(misses: int, poll_s: float, hurry_s: float | None) -> float:
    """
    Seconds from one look to the next: as set, soon after a first failure, then twice as long each time.

    Args:
        misses: how many looks in a row have failed.
        hurry_s: the pause that is wanted just now, if it is a shorter one.
    """
    usual = poll_s if misses == 0 else min(_FIRST_RETRY_S * 2.0 ** min(misses - 1, 10), LONGEST_S)
    return usual if hurry_s is None else min(usual, hurry_s)


class Poller:
    """
    Looks, hands on what it saw, waits, and runs what it is given in between, all in one thread.

    Args:
        look: asks the gateway; told whether OpenRouter is to be asked too.
        deliver: takes what was seen.
        woke: is told that the computer slept, before the next look.
        hurry_s: the pause that is wanted just now, in seconds, or None for the usual one.
        signature: changes when a look is worth while at once.
    """

    def __init__(
        self,
        *,
        look: Callable[[bool], Reading],
        deliver: Callable[[Reading], None],
        woke: Callable[[], None],
        hurry_s: Callable[[], float | None],
        signature: Callable[[], object],
        clock: Clock,
        poll_s: float,
    ) -> None:
        self._look = look
        self._deliver = deliver
        self._woke = woke
        self._hurry_s = hurry_s
        self._signature = signature
        self._clock = clock
        self._poll_s = poll_s
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="orgate-poller", daemon=True)
        self._due = float("-inf")
        self._force = False
        self._misses = 0
        self._seen: object = None
        self._pulse: Pulse | None = None
        self._meant_s = 0.0

    def start(self) -> None:
        """Begin with a look at once, in a thread of its own."""
        self._thread.start()

    def stop(self, wait_s: float = 2.0) -> None:
        """End the thread, waiting so many seconds at most for a look that is under way."""
        self._jobs.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(wait_s)

    def do(self, job: Callable[[], None]) -> None:
        """Have this done in the poller's thread, soon; from any thread."""
        self._jobs.put(job)

    def refresh(self, *, force: bool = False) -> None:
        """Look now; with `force` OpenRouter is asked too. From any thread."""
        self._jobs.put(lambda: self._hasten(force))

    def turn(self) -> float:
        """Do what is due now; the seconds until there may be something again."""
        if self._pulse is not None and slept(self._pulse, self._now(), self._meant_s):
            self._woke()
            self._hasten(force=False)
        signature = self._signature()
        if signature != self._seen:
            self._seen = signature
            self._hasten(force=False)
        if self._clock.monotonic() >= self._due:
            self._once()
        self._pulse = self._now()
        self._meant_s = min(max(self._due - self._pulse.steady, 0.0), _SLICE_S)
        return self._meant_s

    def _once(self) -> None:
        force, self._force = self._force, False
        before = self._now()
        reading = self._look(force)
        # A look may take long: it is the wall clock that tells of sleep.
        dozed = slept(before, self._now(), meant_s=math.inf)
        if dozed:
            self._woke()
        failed = reading.trouble is not None or (reading.credits is not None and reading.credits.stale)
        self._misses = self._misses + 1 if failed else 0
        # What the owner sees may change how soon the next look is wanted.
        self._deliver(reading)
        self._due = self._clock.monotonic() + pause_s(self._misses, self._poll_s, self._hurry_s())
        if dozed:
            self._hasten(force=False)

    def _now(self) -> Pulse:
        return Pulse(self._clock.now(), self._clock.monotonic())

    def _hasten(self, force: bool) -> None:
        self._due = float("-inf")
        self._force = self._force or force
        if force:
            # Somebody waits for it: should this look fail too, the next one comes soon.
            self._misses = 0

    def _run(self) -> None:
        wait_s = 0.0
        while self._work(wait_s):
            try:
                wait_s = self.turn()
            except Exception:
                _log.exception("tray.look_broke")
                self._due = self._clock.monotonic() + self._poll_s
                wait_s = _SLICE_S

    def _work(self, wait_s: float) -> bool:
        """Do all that was given, waiting so long for the first; whether to go on."""
        try:
            job = self._jobs.get(timeout=wait_s) if wait_s > 0 else self._jobs.get_nowait()
            while job is not None:
                try:
                    job()
                except Exception:
                    _log.exception("tray.job_broke")
                job = self._jobs.get_nowait()
        except queue.Empty:
            return True
        return False
