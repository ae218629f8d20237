"""Lines between a carrier and the keeper: messages in order, on sockets that only these two processes have."""

from __future__ import annotations

import socket
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeAlias

from app.core.errors import Unavailable

ASKING, PASSING = b"?", b">"
"""What a line is for, as it is said at the door: questions, or whole requests."""

if TYPE_CHECKING:
    Line: TypeAlias = Connection[Any, Any]
else:
    # It cannot be subscripted where it runs.
    Line = Connection


def connected() -> tuple[Line, socket.socket]:
    """A new line, and its other end."""
    mine, other = socket.socketpair()
    return Connection(mine.detach()), other


def hang_up(line: Line) -> None:
    """End the line, from any thread: whoever waits at either end is told."""
    known = socket.socket(fileno=line.fileno())
    try:
        known.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other end was faster.
        return
    finally:
        known.detach()


class Lines:
    """
    The carrier's end: a line for each thread, so that the keeper learns what a thread says in the order it was said.

    A thread's line ends with the thread.
    """

    def __init__(self, door: socket.socket) -> None:
        """New lines are handed to the keeper through the door."""
        self._door = door
        self._mine = threading.local()

    def ask(self, what: str, *told: Any) -> Any:  # whatever is answered to that
        """The keeper's answer; raises what it raised there, or Unavailable."""
        try:
            line = self._line()
            line.send((what, True, told))
            failed, answer = line.recv()
        except (OSError, EOFError):
            raise _gone() from None
        if failed:
            raise answer
        return answer

    def tell(self, what: str, *told: Any) -> None:
        """Let the keeper know; it has it before anything that this thread asks later."""
        try:
            self._line().send((what, False, told))
        except OSError:
            raise _gone() from None

    def new(self, purpose: bytes = PASSING) -> Line:
        """A line to the keeper; raises OSError."""
        line, other = connected()
        with other:
            socket.send_fds(self._door, [purpose], [other.fileno()])
        return line

    def _line(self) -> Line:
        line: Line | None = getattr(self._mine, "line", None)
        if line is None:
            line = self._mine.line = self.new(ASKING)
        return line


def _gone() -> Unavailable:
    return Unavailable("The gateway is stopping.", code="stopping", retry_after_s=5, should_retry=True)
