"""One carrier, as the keeper sees it: a process, a line for orders, and a door through which it hands in new lines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from app.workers.desk import Desk
from app.workers.lines import ASKING, PASSING, Line, connected

_ANSWER_S = 10.0
"""A carrier that does not answer an order within this time is stuck, and is killed: its place is taken by another."""

_END_S = 5.0
_ROOT = Path(__file__).resolve().parents[2]


class Carrier:
    """A process that carries calls."""

    def __init__(self, module: str, number: int, places: int, listening: Sequence[socket.socket]) -> None:
        """
        Start it: `module` is run with its number, from 1, and with its descriptors for orders, for the door, of the
        shared places, and of the listening sockets.
        """
        self._orders, orders = connected()
        self._door, door = socket.socketpair()
        self._lock = threading.Lock()
        self._askers: list[threading.Thread] = []
        with orders, door:
            passed = [orders.fileno(), door.fileno(), places, *(one.fileno() for one in listening)]
            # What -m alone would put first on the path is the folder where the gateway was started, whatever is there.
            command = [sys.executable, "-P", "-m", module, str(number), *map(str, passed)]
            path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
            self._process = subprocess.Popen(  # noqa: S603 it is this program
                command,
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def begin(self, told: Any) -> None:  # what a carrier needs to be one
        """Tell it what it needs before any order; raises OSError."""
        with self._lock:
            self._orders.send(told)

    def command(self, what: str, told: Callable[[], tuple[Any, ...]]) -> Any:  # its answer
        """Its answer to an order with what is `told` when it is sent; None when it has none or is ending."""
        with self._lock, suppress(OSError, EOFError):
            self._orders.send((what, told()))
            if self._orders.poll(_ANSWER_S):
                return self._orders.recv()
            self.kill()
        return None

    def serve(self, desk: Desk, ready: Callable[[], None]) -> None:
        """Let the desk answer at every line that it hands in, until it ends; `ready` when it has begun to listen."""
        while True:
            word, found, _, _ = socket.recv_fds(self._door, 1, 1)
            if not word:
                return
            if word == ASKING:
                self._askers.append(_attended(desk.attend, found[0]))
                self._askers = [one for one in self._askers if one.is_alive()]
            elif word == PASSING:
                # It may go on when the carrier has ended: a call with a key is made to its end.
                _attended(desk.attend_requests, found[0])
            else:
                ready()

    def ended(self) -> int:
        """Wait for its end, and until all is done that it asked before; its exit code, or minus the ending signal."""
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        for asker in self._askers:
            asker.join()
        self._door.close()
        self._orders.close()
        return status

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def _attended(attend: Callable[[Line], None], descriptor: int) -> threading.Thread:
    attendant = threading.Thread(target=attend, args=(Connection(descriptor),), name="orgate-line", daemon=True)
    attendant.start()
    return attendant
