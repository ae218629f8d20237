"""The process of a carrier; `orgate serve` starts it, nobody else."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from app.adapters.logs import configure, log_crashes
from app.carrier import Carrier, create_carrier
from app.core.pauses import ended, paused
from app.server import Server
from app.server.onecore import OneCore
from app.settings import Settings
from app.workers.lines import Line, Lines
from app.workers.places import SharedPlaces

_KEEPER_GONE = 70


class Orders:
    """What the keeper wants done."""

    def __init__(self, line: Line, carrier: Carrier, server: Server) -> None:
        self._line = line
        self._carrier = carrier
        self._server = server
        self._orders: Mapping[str, Callable[..., Any]] = {
            "end": self._end,
            "resting": carrier.built.breakers.own_state,
            "mind": self._mind,
            "put": carrier.built.cache.put,
            "drain": server.stop,
        }

    def obey(self) -> None:
        """Carry out each as it comes; without a keeper nothing may go on here."""
        while True:
            try:
                what, told = self._line.recv()
                self._line.send(self._orders[what](*told))
            except (OSError, EOFError):
                # What runs here could not be written down any more. The ledger has every hold.
                os._exit(_KEEPER_GONE)

    def _end(self, app: str, is_paused: bool) -> int:
        return self._carrier.built.calling.relay.end_running(app, paused if is_paused else ended)

    def _mind(self, apps: frozenset[str]) -> None:
        self._carrier.built.pauses.unkept = apps


def main(number: int, orders_fd: int, door_fd: int, places_fd: int, *listening: int) -> None:
    """Carry calls until the keeper says that it is enough; after its number come descriptors."""
    # Ctrl-C reaches every process of the terminal; the keeper says what is to be done then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line: Line = Connection(orders_fd)
    door = socket.socket(fileno=door_fd)
    try:
        settings: Settings = line.recv()
    except EOFError:
        # The keeper has ended meanwhile.
        sys.exit(_KEEPER_GONE)
    sink = configure(level=settings.log_level, namespaces=settings.debug)
    log_crashes(sink)
    places = SharedPlaces(settings.max_streams, settings.workers, file=places_fd, mine=number)
    carrier = create_carrier(settings, Lines(door), places)
    log_crashes(carrier.built.calling.events)
    server = Server(
        carrier.application,
        settings.host,
        settings.port,
        calls=settings.max_streams,
        sockets=[socket.socket(fileno=one) for one in listening],
        before_accept=places.give_way,
        core=OneCore(number) if settings.cores == "one" else None,
    )
    server.stop_on_signals(signal.SIGTERM)
    orders = Orders(line, carrier, server)
    threading.Thread(target=orders.obey, name="orgate-orders", daemon=True).start()

    def drain(grace_s: float) -> int:
        deadline = time.monotonic() + grace_s
        ended = carrier.built.calling.relay.drain(grace_s)
        # What was passed on has as long as what runs here.
        carrier.application.wait_idle(max(1.0, deadline - time.monotonic()))
        return ended

    server.run(lambda: door.sendall(b"."), drain)
    for close in carrier.built.at_end:
        close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
