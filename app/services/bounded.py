"""Things that are kept up to a size in bytes; what was of use longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Bounded(Generic[_K, _V]):
    """Values by key, with their sizes; its user holds a lock."""

    def __init__(self, most_bytes: int) -> None:
        self.bytes = 0
        self._most_bytes = most_bytes
        self._kept: OrderedDict[_K, tuple[_V, int]] = OrderedDict()

    def put(self, key: _K, value: _V, size: int) -> list[_K]:
        """Keep this value, however large it is alone; the keys of those that had to go for it."""
        self.drop(key)
        self._kept[key] = (value, size)
        self.bytes += size
        dropped: list[_K] = []
        while self.bytes > self._most_bytes and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            self.drop(oldest)
            dropped.append(oldest)
        return dropped

    def look(self, key: _K) -> _V | None:
        """The value under this key."""
        kept = self._kept.get(key)
        return None if kept is None else kept[0]

    def use(self, key: _K) -> None:
        """It was of use just now; only for a key that there is."""
        self._kept.move_to_end(key)

    def drop(self, key: _K) -> None:
        """Keep it no longer, if it was kept."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept[1]

    def oldest(self) -> tuple[_K, _V] | None:
        """What was of use longest ago; None when there is nothing."""
        key = next(iter(self._kept), None)
        return None if key is None else (key, self._kept[key][0])

    def all(self) -> list[tuple[_K, _V]]:
        """Everything, that of use longest ago first."""
        return [(key, value) for key, (value, _) in self._kept.items()]
