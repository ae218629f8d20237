"""A program of the owner's that is run for every alert (ORGATE_ALERT_COMMAND)."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.core.notices import Notice, told
from app.core.ports import Events

_LONGEST_S = 30.0
_MOST_WAITING = 20
_OURS = ("OPENROUTER_", "ORGATE_")


class AlertCommand:
    """
    Runs the program for one alert after the other, in a thread of its own, with the alert as JSON on its input.

    It gets no setting of orgate's in its environment, 30 s of time, and no shell. What it prints goes nowhere.
    """

    def __init__(self, command: Sequence[str], events: Events) -> None:
        self._command = tuple(command)
        self._events = events
        self._waiting: queue.Queue[Notice] = queue.Queue(_MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, notice: Notice) -> None:
        """Have the program run for this alert soon; when too many wait for it, this one is left out."""
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            self._failed(notice, "too many alerts wait for it")
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orgate-alerts", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        _may_run_anywhere()
        while True:
            notice = self._waiting.get()
            try:
                self._tell(notice)
            except Exception as error:
                self._events.broke("alert.command_broke", error)

    def _tell(self, notice: Notice) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 it is the owner's own program, without a shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._failed(notice, getattr(error, "strerror", None) or type(error).__name__)
            return
        with process:
            try:
                process.communicate(json.dumps(told(notice)).encode() + b"\n", timeout=_LONGEST_S)
            except subprocess.TimeoutExpired:
                _end(process)
                self._failed(notice, f"it was ended after {_LONGEST_S:g} s")
                return
        if process.returncode:
            self._failed(notice, f"it ended with {process.returncode}")

    def _failed(self, notice: Notice, why: str) -> None:
        # Its arguments may hold secrets of the owner's, such as a web hook's address.
        self._events.warn("alert.command_failed", program=Path(self._command[0]).name, alert=notice.event, why=why)


def _may_run_anywhere() -> None:
    """Let this thread, and the programs it starts, run where the process may: a busy gateway stays on one core."""
    main = threading.main_thread().native_id
    if hasattr(os, "sched_setaffinity") and main is not None:
        with suppress(OSError):
            os.sched_setaffinity(0, os.sched_getaffinity(main))


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.upper().startswith(_OURS)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with everything that it started, where the system can."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
