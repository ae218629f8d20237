"""A clean stop on signals, also where the main thread is in a loop that is not Python's."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tray.signals import stopped_by_signals

_ROOT = Path(__file__).resolve().parents[2]

_IN_C = """
import ctypes, os, sys
from tray.signals import stopped_by_signals

def stop():
    os.write(1, b"stopped\\n")
    os._exit(7)

with stopped_by_signals(stop):
    print("ready", flush=True)
    # PyDLL keeps the interpreter's lock only for Python code; sleep() here never returns to it, as a GUI's loop.
    libc = ctypes.CDLL(None)
    while True:
        libc.sleep(60) and libc.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_in_c_is_stopped(sign: signal.Signals) -> None:
    """Python runs no handler while the main thread is in C; the listening thread does not wait for it."""
    with subprocess.Popen([sys.executable, "-c", _IN_C], stdout=subprocess.PIPE, cwd=_ROOT) as process:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()

        process.send_signal(sign)

        assert b"stopped\n" == process.stdout.readline()
        assert 7 == process.wait(10)


def test_handlers_are_given_back() -> None:
    """What was there before is there after."""
    before = [signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)]

    with stopped_by_signals(lambda: None):
        assert before != [signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)]

    assert before == [signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)]
    assert -1 == signal.set_wakeup_fd(-1)


def test_python_code_is_stopped_too() -> None:
    """As often as a signal comes."""
    stopped = threading.Semaphore(0)

    with stopped_by_signals(stopped.release):
        signal.raise_signal(signal.SIGTERM)
        assert stopped.acquire(timeout=10)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    """Python allows no other."""
    entered = threading.Event()

    def enter() -> None:
        with stopped_by_signals(lambda: None):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert entered.is_set()
