"""Answers that may be given again, in the gateway's memory only: message text never goes to the disk."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass

from app.core.frozen import frozen
from app.core.ports import Clock
from app.services.bounded import Bounded

MOST_BYTES = 32 * 2**20
MOST_BYTES_OF_APP = 16 * 2**20
MOST_BYTES_OF_ANSWER = 4 * 2**20
ENTRY_BYTES = 1024
"""Counted for each answer beside its text, so that the number of answers has a bound too."""

LONGEST_S = 86_400.0
"""No call can ask for an older answer (core/wishes.py)."""

_TIDY_S = 60.0


@frozen
class Kept:
    """An answer as it went out, and who gave it."""

    content_type: str
    body: bytes
    model: str | None
    provider: str | None
    generation_id: str | None


@dataclass
class _Entry:
    answer: Kept
    monotonic: float
    wall: float
    used: int


class AnswerCache:
    """
    Answers by app and by the digest of the call; what was given longest ago goes first.

    Each app has its own, so that no app sees another's or pushes all of them out.
    """

    def __init__(
        self, clock: Clock, *, most_bytes: int = MOST_BYTES, most_bytes_of_app: int = MOST_BYTES_OF_APP
    ) -> None:
        self._clock = clock
        self._most_bytes = most_bytes
        self._most_bytes_of_app = most_bytes_of_app
        self._lock = threading.Lock()
        self._apps: dict[str, Bounded[bytes, _Entry]] = {}
        self._ticks = itertools.count()
        self._tidied_at = clock.monotonic()

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(kept.bytes for kept in self._apps.values())

    def find(self, app: str, key: bytes, max_age_s: float) -> tuple[Kept, float] | None:
        """The app's answer under this key with its age in seconds, unless it has reached this age."""
        with self._lock:
            own = self._apps.get(app)
            entry = own.look(key) if own is not None else None
            if own is None or entry is None:
                return None
            age_s = self._age_s(entry)
            if age_s >= max_age_s:
                return None
            entry.used = next(self._ticks)
            own.use(key)
            return entry.answer, age_s

    def keep(self, app: str, key: bytes, answer: Kept) -> None:
        """Keep this answer in place of the one before; one that is too large is not kept."""
        if len(answer.body) > MOST_BYTES_OF_ANSWER:
            return
        with self._lock:
            self._tidy()
            own = self._apps.setdefault(app, Bounded(self._most_bytes_of_app))
            entry = _Entry(answer, self._clock.monotonic(), self._clock.now(), next(self._ticks))
            own.put(key, entry, len(answer.body) + ENTRY_BYTES)
            while self.size > self._most_bytes:
                self._drop_oldest()

    def _age_s(self, entry: _Entry) -> float:
        # One clock stands still while the machine sleeps, the other can be set back: the answer is as old as either.
        return max(self._clock.monotonic() - entry.monotonic, self._clock.now() - entry.wall)

    def _drop_oldest(self) -> None:
        heads = [(own, head) for own in self._apps.values() if (head := own.oldest()) is not None]
        own, (key, _) = min(heads, key=lambda each: each[1][1].used)
        own.drop(key)

    def _tidy(self) -> None:
        """Let go of what nobody can ask for any more, now and then."""
        now = self._clock.monotonic()
        if now - self._tidied_at < _TIDY_S:
            return
        self._tidied_at = now
        for own in self._apps.values():
            for key, entry in own.all():
                if self._age_s(entry) >= LONGEST_S:
                    own.drop(key)
