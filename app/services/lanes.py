"""Threads that are made when there is work for them and end when there is none."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

_IDLE_S = 30.0

Work = Callable[[], None]


class Lane:
    """Up to `most` threads that take work in the order it came; what fails goes to `on_failure` and costs no thread."""

    def __init__(self, name: str, most: int, on_failure: Callable[[Exception], None]) -> None:
        self._name = name
        self._most = most
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[Work] = deque()
        self._resting: list[_Worker] = []
        self._threads = 0
        self._load = 0  # work that runs or waits

    def add(self, work: Work) -> None:
        """Have this done soon; raises RuntimeError where the system gives no thread and there is none yet."""
        with self._lock:
            if self._resting:
                # The one that has rested least: the others may end.
                self._resting.pop().give(work)
            elif self._threads == self._most or not self._has_started(work):
                self._waiting.append(work)
            self._load += 1

    def _has_started(self, work: Work) -> bool:
        """Whether there is a new thread for this work; others of this lane may have to do it, where there are any."""
        try:
            threading.Thread(target=self._run, args=(_Worker(work),), name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            return False
        self._threads += 1
        return True

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until nothing runs or waits, or the time is up."""
        with self._lock:
            self._idle.wait_for(lambda: self._load == 0, timeout_s)

    def _run(self, worker: _Worker) -> None:
        while True:
            work = worker.taken()
            if work is None:
                work = self._last_chance(worker)
            if work is None:
                return
            try:
                work()
            except Exception as error:
                self._on_failure(error)
            # Nothing of the work may outlive it in an idle thread.
            del work
            self._done(worker)

    def _done(self, worker: _Worker) -> None:
        with self._lock:
            self._load -= 1
            if self._waiting:
                worker.give(self._waiting.popleft())
                return
            self._resting.append(worker)
            if self._load == 0:
                self._idle.notify_all()

    def _last_chance(self, worker: _Worker) -> Work | None:
        """What was given to the worker just when it had rested for long enough to end."""
        with self._lock:
            if worker in self._resting:
                self._resting.remove(worker)
                self._threads -= 1
                return None
        return worker.taken()


class _Worker:
    """What one thread does next. It is woken alone: threads that share a queue wake each other for nothing."""

    def __init__(self, work: Work) -> None:
        self._work: Work | None = work
        self._bell = threading.Lock()

    def give(self, work: Work) -> None:
        """Have it do this; it does nothing else now."""
        self._work = work
        self._bell.release()

    def taken(self) -> Work | None:
        """What it was given, waited for as long as a thread rests; None when that was nothing."""
        if not self._bell.acquire(timeout=_IDLE_S):
            return None
        work, self._work = self._work, None
        return work
