"""The app at the other end, as the WSGI server lets it be seen."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.core.ports import Begin, Peer

_STALLED_S = 60.0


class WaitressPeer:
    """The Peer port on waitress's channel, which reads ahead and so notices a client that leaves (waitress ≥ 3.0.1)."""

    begin: Begin | None = None

    def __init__(self, channel: Any, begun: Callable[[], None]) -> None:  # waitress has no types of its own
        """`begun` is what `waits` calls."""
        self._channel = channel
        self.waits = begun
        self._waiting: tuple[float, float] | None = None

    def left(self) -> bool:
        """It has closed the connection."""
        return not self._channel.connected

    def stalled(self) -> bool:
        """It has taken nothing for a minute although something waits for it."""
        if not self._channel.total_outbufs_len:
            self._waiting = None
            return False
        now = time.monotonic()
        # What waits may grow while nothing is taken; this mark moves only when bytes do.
        moved = self._channel.last_activity
        if self._waiting is None or self._waiting[0] != moved:
            self._waiting = (moved, now)
        return now - self._waiting[1] > _STALLED_S

    def cut(self) -> None:
        """Close the connection from this side: it wakes the thread that waits to write."""
        sock = self._channel.socket
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            self._channel.server.pull_trigger()


class UnseenPeer:
    """The app behind a server that tells nothing of it: its leaving shows when something is written to it."""

    begin: Begin | None = None

    def left(self) -> bool:
        """Nobody knows."""
        return False

    def stalled(self) -> bool:
        """Nobody knows."""
        return False

    def waits(self) -> None:
        """Nobody wants to know."""

    def cut(self) -> None:
        """It cannot be done from here."""


def _nobody() -> None:
    """waitress by itself begins as many calls at once as it has threads."""


def peer_of(environ: dict[str, Any], begin: Begin | None = None) -> Peer:
    """The peer of the request in this WSGI environment, and what begins the answer to it."""
    peer = _peer_of(environ)
    peer.begin = begin
    return peer


def _peer_of(environ: dict[str, Any]) -> Peer:
    given: Peer | None = environ.get("orgate.peer")
    if given is not None:
        return given
    told = environ.get("waitress.client_disconnected")
    return WaitressPeer(told.__self__, environ.get("orgate.begun", _nobody)) if told is not None else UnseenPeer()
