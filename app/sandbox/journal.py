"""The log of requests the sandbox has seen, for people and for tests."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LIMIT = 10_000
_KEPT = {"http-referer", "user-agent", "content-type", "content-length", "accept", "accept-encoding", "host"}
_KEPT_PREFIXES = ("x-", "anthropic-")


@dataclass
class Entry:
    """One request: what came, what was answered, how it ended; times in epoch seconds and monotonic nanoseconds."""

    n: int
    method: str
    path: str
    headers: dict[str, str]
    connection: int
    at: float = field(default_factory=time.time)
    at_mono_ns: int = field(default_factory=time.monotonic_ns)
    model: Any = None
    stream: bool = False
    body_sha256: str = ""
    body_bytes: int = 0
    body_keys: list[str] = field(default_factory=list)
    status: int | None = None
    generation_id: str | None = None
    events_sent: int = 0
    ended: str = "open"
    ended_at: float | None = None
    ended_mono_ns: int | None = None
    client_closed_at: float | None = None
    client_closed_mono_ns: int | None = None

    def saw_body(self, body: bytes) -> None:
        """Note size and digest; the body itself is never kept."""
        self.body_bytes, self.body_sha256 = len(body), hashlib.sha256(body).hexdigest()

    def saw_fields(self, fields: Mapping[str, Any]) -> None:
        """Note what the body asked for."""
        self.body_keys = sorted(fields)
        self.model = fields.get("model")
        self.stream = fields.get("stream") is True


class Journal:
    """The last 10 000 requests; safe to read while they are running."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque(maxlen=LIMIT)
        self._next = 1

    def open(self, method: str, path: str, headers: Mapping[str, str], connection: int) -> Entry:
        """A new entry for a request whose headers have arrived."""
        with self._changed:
            entry = Entry(self._next, method, path, kept(headers), connection)
            self._next += 1
            self._entries.append(entry)
            self._changed.notify_all()
        return entry

    def end(self, entry: Entry, how: str) -> None:
        """Note how the request ended; a client that left is more telling than what the sandbox meant to do."""
        with self._changed:
            if entry.ended in {"open", "answered"} and how != entry.ended:
                entry.ended, entry.ended_at, entry.ended_mono_ns = how, time.time(), time.monotonic_ns()
            if how == "client_closed" and entry.client_closed_at is None:
                entry.client_closed_at, entry.client_closed_mono_ns = time.time(), time.monotonic_ns()
            self._changed.notify_all()

    def rows(self, after: int = 0) -> list[dict[str, Any]]:
        """Every entry with a number above `after`, oldest first."""
        with self._changed:
            return [dict(vars(entry)) for entry in self._entries if entry.n > after]

    def wait_until(self, holds: Callable[[list[dict[str, Any]]], bool], timeout_s: float) -> bool:
        """Whether `holds` became true for the entries within the time; looked at whenever one begins or ends."""
        deadline = time.monotonic() + timeout_s
        while not holds(self.rows()):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                # Event counts move without a notice, hence the short wait.
                self._changed.wait(min(left, 0.02))
        return True

    def clear(self) -> None:
        """Forget everything; numbering goes on."""
        with self._changed:
            self._entries.clear()


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers worth keeping, names in lower case, the key masked."""
    chosen = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower == "authorization":
            chosen[lower] = f"Bearer sk-or-…{value[-4:]}" if "sk-or-" in value else "(not an OpenRouter key)"
        elif lower == "x-api-key":
            chosen[lower] = f"…{value[-4:]}"
        elif lower in _KEPT or lower.startswith(_KEPT_PREFIXES):
            chosen[lower] = value
    return chosen
