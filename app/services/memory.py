"""What one app's calls with an Idempotency-Key became: answers for a day, that there was a call for much longer."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from app.core.errors import Conflict, GatewayError
from app.core.idempotency import Once
from app.services.bounded import Bounded
from app.services.relay import Delivery

KEPT_S = 86_400.0
MOST_BYTES = 32 * 2**20
MOST_CALLS = 50_000

_OVER = threading.Event()
_OVER.set()


@dataclass(eq=False, slots=True)
class Entry:
    """One call; `outcome` counts once `over` is set."""

    digest: bytes
    over: threading.Event = field(default_factory=threading.Event)
    outcome: Delivery | GatewayError | None = None
    """None: it left nothing behind, and whoever waits for it may make it."""
    is_gone: bool = False
    """It had an outcome, which is no longer kept."""

    def finish(self) -> None:
        """Wake those who wait; one event serves all calls that are over, of which there are many."""
        over, self.over = self.over, _OVER
        over.set()


class Memory:
    """
    The calls of one app, in the gateway's memory only; its user holds a lock.

    Its `id` is another one as soon as any call that was in it is not in it any more: with the id that a client had
    when it first asked, a key that is not known was never asked for.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, most_calls: int = MOST_CALLS) -> None:
        self.id = secrets.token_hex(8)
        self._most_calls = most_calls
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._kept: Bounded[Entry, float] = Bounded(most_bytes)
        """When each outcome came."""

    def find(self, once: Once) -> Entry | None:
        """The call with this key; None when there is none and it may be made. Raises Conflict."""
        entry = self._entries.get(once.key)
        if entry is None:
            if once.memory is not None and once.memory != self.id:
                raise Conflict(
                    "The gateway does not remember the calls of that time: whether this one was made is not known.",
                    code="memory_lost",
                    details={"memory": self.id},
                )
            return None
        if entry.digest != once.digest:
            raise Conflict("This Idempotency-Key was used for another request. Take a new key.", code="key_reused")
        if entry.is_gone:
            raise gone()
        return entry

    def begin(self, once: Once) -> Entry:
        """A call is being made under this key."""
        entry = self._entries[once.key] = Entry(once.digest)
        if len(self._entries) > self._most_calls:
            self._forget_half()
        return entry

    def end(self, entry: Entry, outcome: Delivery | GatewayError, now: float) -> None:
        """The call became this; `now` is the monotonic clock, in seconds."""
        entry.outcome = outcome
        body = outcome.body if isinstance(outcome, Delivery) else b""
        assert isinstance(body, bytes)
        for dropped in self._kept.put(entry, now, len(body)):
            _forget(dropped)
        entry.finish()

    def undo(self, once: Once, entry: Entry) -> None:
        """The call was not made: its key is free again."""
        if self._entries.get(once.key) is entry:
            del self._entries[once.key]
        entry.finish()

    def tidy(self, now: float) -> None:
        """Let go of answers that are a day old."""
        while (oldest := self._kept.oldest()) is not None and now - oldest[1] > KEPT_S:
            _forget(oldest[0])
            self._kept.drop(oldest[0])

    def _forget_half(self) -> None:
        for _ in range(len(self._entries) // 2):
            self._entries.popitem(last=False)
        self.id = secrets.token_hex(8)


def _forget(entry: Entry) -> None:
    entry.is_gone, entry.outcome = True, None


def gone() -> Conflict:
    """What is told of a call whose answer is no longer there."""
    return Conflict("This call was made, and its answer is no longer kept.", code="answer_gone")
