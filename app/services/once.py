"""Calls with an Idempotency-Key: made once, and answered as often as they are asked for."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

from app.core.calls import Call
from app.core.errors import GatewayError, Left
from app.core.idempotency import Once
from app.core.ports import Clock, Peer
from app.services.memory import Entry, Memory, gone
from app.services.recall import Recaller
from app.services.relay import Delivery

_LOOK_S = 0.2


class Repeats:
    """
    Stands in front of the cache and the relay for plain calls; streams pass, since half of one cannot be given again.

    A call with a key runs to its end although its app leaves, from when its first attempt is begun.
    """

    def __init__(self, calls: Recaller, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._memories: dict[str, Memory] = {}

    def deliver(self, call: Call, once: Once | None, peer: Peer) -> Delivery:
        """The answer to a call: a new one, or what it became when it was first made. Raises GatewayError."""
        if once is None or call.stream:
            return self._calls.deliver(call, peer)
        while True:
            memory, entry, is_new = self._entry(call.app, once)
            if is_new:
                return self._made(call, once, peer, memory, entry)
            self._await(entry, peer)
            outcome = entry.outcome
            if isinstance(outcome, GatewayError):
                raise copy.copy(outcome)
            if outcome is not None:
                return replace(outcome, headers={**outcome.headers, "Idempotency-Replayed": "true"})
            if entry.is_gone:
                raise gone()

    def _entry(self, app: str, once: Once) -> tuple[Memory, Entry, bool]:
        with self._lock:
            now = self._clock.monotonic()
            for memory in self._memories.values():
                memory.tidy(now)
            memory = self._memories.setdefault(app, Memory())
            entry = memory.find(once)
            return (memory, entry, False) if entry is not None else (memory, memory.begin(once), True)

    def _made(self, call: Call, once: Once, peer: Peer, memory: Memory, entry: Entry) -> Delivery:
        try:
            delivery = self._calls.deliver(replace(call, lasting=True), peer)
        except GatewayError as error:
            # What cannot have been billed may be asked again under its key, as the SDKs do.
            is_final = error.begun and not error.should_retry
            # Its traceback holds all that the call was about; the copy has none.
            self._end(memory, once, entry, copy.copy(error) if is_final else None)
            raise
        except BaseException:
            self._end(memory, once, entry, GatewayError("The gateway failed in this call; its log says where."))
            raise
        delivery = replace(delivery, headers={**delivery.headers, "x-orgate-call-id": call.id})
        self._end(memory, once, entry, delivery)
        return delivery

    def _end(self, memory: Memory, once: Once, entry: Entry, outcome: Delivery | GatewayError | None) -> None:
        with self._lock:
            if outcome is None:
                memory.undo(once, entry)
            else:
                memory.end(entry, outcome, self._clock.monotonic())

    def _await(self, entry: Entry, peer: Peer) -> None:
        peer.waits()
        while not entry.over.wait(_LOOK_S):
            if peer.left():
                raise Left("The app closed the connection.")
