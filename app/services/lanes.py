"""Threads that are made when there is work for them and end when there is none."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

_IDLE_S = 30.0


class Lane:
    """Up to `most` threads that take work in the order it came; what fails goes to `on_failure` and costs no thread."""

    def __init__(self, name: str, most: int, on_failure: Callable[[Exception], None]) -> None:
        self._name = name
        self._most = most
        self._on_failure = on_failure
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._threads = 0
        self._load = 0  # work that runs or waits

    def add(self, work: Callable[[], None]) -> None:
        """Have this done soon."""
        with self._idle:
            self._load += 1
            if self._threads < min(self._load, self._most):
                self._threads += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._work.put(work)

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until nothing runs or waits, or the time is up."""
        with self._idle:
            self._idle.wait_for(lambda: self._load == 0, timeout_s)

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._idle:
                    if self._load < self._threads:
                        self._threads -= 1
                        return
                continue
            try:
                work()
            except Exception as error:
                self._on_failure(error)
            # Nothing of the work may outlive it in an idle thread.
            del work
            with self._idle:
                self._load -= 1
                if self._load == 0:
                    self._idle.notify_all()
