"""Alarms: what little money was warned of already, also before a restart."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from app.core import alerts


class Facts(Protocol):
    """The part of the Ledger port that keeps a text for the gateway's next start."""

    def fact(self, name: str) -> str | None:
        """The text that was kept under this name."""
        ...

    def keep_fact(self, name: str, value: str | None) -> None:
        """Keep it soon; None forgets it."""
        ...


class Alarm:
    """Says once per episode that one kind of rest is low; another key begins an episode of its own."""

    def __init__(self, name: str, facts: Facts) -> None:
        self._name = name
        self._facts = facts
        self._lock = threading.Lock()
        self._known: tuple[str, int | None] | None = None

    def look(self, key_id: str, marks: Sequence[int], remaining: int | None) -> int | None:
        """The mark to warn of now, or None; amounts in nano-dollars, an unknown rest (None) changes nothing."""
        with self._lock:
            told = self._told(key_id)
            found = alerts.look(marks, told, remaining)
            if found.told != told:
                self._facts.keep_fact(self._fact(key_id), alerts.to_text(found.told))
            self._known = (key_id, found.told)
            return found.alert

    def room(self, key_id: str, marks: Sequence[int], remaining: int | None) -> list[int]:
        """For each mark that it may still warn of, how much can be spent before it does."""
        with self._lock:
            return alerts.room(marks, self._told(key_id), remaining)

    def _told(self, key_id: str) -> int | None:
        if self._known is not None and self._known[0] == key_id:
            return self._known[1]
        return alerts.from_text(self._facts.fact(self._fact(key_id)))

    def _fact(self, key_id: str) -> str:
        return f"alarm.{self._name}.{key_id}"
