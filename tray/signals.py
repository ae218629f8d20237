"""A clean stop on SIGTERM and SIGINT, whatever loop the main thread is in."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """
    Call `stop` when one of them comes, until the block ends; it may be called more than once and from any thread.

    A loop in C keeps Python's own handlers from running. GTK's loop wakes them; for Windows' and macOS' a thread
    listens to what Python writes when a signal comes. Outside the main thread signals are nobody's to take.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    previous = [signal.signal(name, lambda *_: stop()) for name in _SIGNALS]
    wakeup = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(heard, stop), name="orgate-signals", daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for name, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(name, handler)
        told.close()
        listener.join(1)
        heard.close()


def _listen(heard: socket.socket, stop: Callable[[], None]) -> None:
    while numbers := heard.recv(64):
        if any(number in _SIGNALS for number in numbers):
            stop()
