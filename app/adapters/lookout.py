"""A thread for what nobody waits for: it looks by itself while there is something to do, and rests till roused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

_LOOKS = 50
"""So often in a row nothing is found before it rests. To be woken after each call would hold the next one up."""

_END_S = 5.0


class Lookout:
    """Looks for work in a thread of its own, which begins when it is first roused."""

    def __init__(self, name: str, look: Callable[[], bool], pause_s: Callable[[], float]) -> None:
        """
        `look` does what there is to do, and tells whether there was anything, or will be without another word.

        `pause_s` says how many seconds lie between two looks: so long work is gathered.
        """
        self._name = name
        self._look = look
        self._pause_s = pause_s
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def is_stopped(self) -> bool:
        """It looks no more."""
        return self._stopped.is_set()

    def rouse(self) -> bool:
        """There is something to do; False where nobody will look: it was stopped, or the system gives no thread."""
        if not self._wanted.is_set():
            self._wanted.set()
        return not self._stopped.is_set() and (self._thread is not None or self._has_started())

    def stop(self) -> None:
        """Look no more; what is being done is waited for, up to 5 s."""
        self._stopped.set()
        self._wanted.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_END_S)

    def _has_started(self) -> bool:
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
            return self._thread is not None

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._wanted.wait()
                self._watch()
        finally:
            # Whatever has ended it: the next one who rouses it finds no thread, and begins another.
            self._thread = None

    def _watch(self) -> None:
        looks = 0
        while looks < _LOOKS and not self._stopped.wait(self._pause_s()):
            looks = 0 if self._look() else looks + 1
        self._wanted.clear()
        if self._look():
            # What came before that has woken nobody.
            self._wanted.set()
