"""The carriers of a gateway: started, told what concerns all, replaced when they die, ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from app.core.frozen import frozen
from app.core.ports import Events
from app.workers.carrier import Carrier
from app.workers.desk import Desk
from app.workers.places import SharedPlaces

_READY_S = 20.0
_LEAST_LIFE_S = 10.0
"""One that ends sooner is replaced only after a pause, which doubles."""

_LONGEST_PAUSE_S = 30.0
_END_S = 5.0
"""So much longer than the calls that it finishes may a carrier take to end."""


@frozen
class Orders:
    """What a carrier needs to be one."""

    start: Callable[[int], Carrier]
    """Starts the one with this number, from 1."""
    desk: Callable[[], Desk]
    told: Any
    """What its process is told first, which this folder does not look into."""


class Crew:
    """All the carriers; the Others of the keeper."""

    def __init__(self, places: SharedPlaces, count: int, events: Events) -> None:
        self.places = places
        self._count = count
        self._events = events
        self._lock = threading.Lock()
        self._carriers: list[Carrier] = []
        self._kept: dict[str, bytes] = {}
        self._threads: list[threading.Thread] = []
        self._ready = threading.Semaphore(0)
        self._stopping = threading.Event()
        self._ends_by = 0.0
        self.unkept: Callable[[], frozenset[str]] = frozenset
        """Which apps are paused without it being on record."""

    def start(self, orders: Orders) -> None:
        """Start them, and return when they answer requests, or after a while without those that do not."""
        for number in range(1, self._count + 1):
            thread = threading.Thread(target=self._staff, args=(orders, number), name="orgate-carrier", daemon=True)
            thread.start()
            self._threads.append(thread)
        deadline = time.monotonic() + _READY_S
        for _ in range(self._count):
            self._ready.acquire(timeout=max(0.0, deadline - time.monotonic()))

    def end_running(self, app: str, *, paused: bool) -> int:
        """End the running calls of this app (or of EVERYBODY) in all of them; how many those were."""
        return sum(self._each("end", lambda: (app, paused)))

    def resting(self) -> Sequence[Mapping[str, object]]:
        """The state of the breakers of each."""
        return self._each("resting")

    def pids(self) -> Sequence[int]:
        """Their process ids."""
        with self._lock:
            return [carrier.pid for carrier in self._carriers]

    def mind(self) -> None:
        """It has changed which apps are paused without it being on record."""
        self._each("mind", lambda: (self.unkept(),))

    def put(self, name: str, value: bytes) -> None:
        """What the keeper has in its cache under this name, for them and for those to come."""
        with self._lock:
            self._kept[name] = value
        # Who has fetched it need not wait for a carrier that is only starting.
        told = threading.Thread(target=self._each, args=("put", lambda: self._held(name)), name="orgate-put")
        told.daemon = True
        told.start()

    def drain(self, grace_s: float) -> None:
        """Have them take no new calls, let the running ones finish for up to `grace_s` s, and end; none is replaced."""
        self._ends_by = time.monotonic() + grace_s + _END_S
        self._stopping.set()
        self._each("drain", lambda: (grace_s,))

    def wait(self) -> None:
        """Return when all have ended; those that have not in time are killed."""
        for thread in self._threads:
            thread.join(max(0.0, self._ends_by - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End what is left of them at once."""
        self._stopping.set()
        with self._lock:
            carriers = list(self._carriers)
        for carrier in carriers:
            carrier.kill()
        for thread in self._threads:
            thread.join(_END_S)

    def _staff(self, orders: Orders, number: int) -> None:
        """Have one carrier at work as long as the gateway runs."""
        pause_s = 0.5
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._work(orders, number)
            except OSError as error:
                self._events.broke("worker.not_started", error)
            pause_s = 0.5 if time.monotonic() - began > _LEAST_LIFE_S else min(2 * pause_s, _LONGEST_PAUSE_S)
            self._stopping.wait(pause_s)

    def _work(self, orders: Orders, number: int) -> None:
        carrier, desk = orders.start(number), orders.desk()
        try:
            carrier.begin(orders.told)
            with self._lock:
                # From here on it hears what changes; what was before it is told now.
                self._carriers.append(carrier)
                names = list(self._kept)
            if self._stopping.is_set():
                # It may have come too late to be told.
                carrier.kill()
                return
            for name in names:
                carrier.command("put", partial(self._held, name))
            carrier.command("mind", lambda: (self.unkept(),))
            carrier.serve(desk, self._ready.release)
        finally:
            with self._lock:
                self._carriers = [one for one in self._carriers if one is not carrier]
            status = carrier.ended()
            lost = desk.lost()
            self.places.clear(number)
            if lost or (status and not self._stopping.is_set()):
                self._events.warn("worker.lost", pid=carrier.pid, status=status, attempts=lost)
            else:
                self._events.note("worker.ended", pid=carrier.pid)

    def _held(self, name: str) -> tuple[str, bytes]:
        with self._lock:
            return name, self._kept[name]

    def _each(self, what: str, told: Callable[[], tuple[Any, ...]] = tuple) -> list[Any]:
        """What each of them answers; one that does not is on its way out."""
        with self._lock:
            carriers = list(self._carriers)
        answers = [carrier.command(what, told) for carrier in carriers]
        return [answer for answer in answers if answer is not None]
