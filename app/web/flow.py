"""A streamed answer between the call and the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.services.relay import Parts


class Flow:
    """
    The parts of an answer, and what is to be done when they are over.

    The server may detach it, and then gets empty parts where nothing has come yet; one that does not know of this waits
    for each part as for those of any WSGI answer.
    """

    def __init__(self, parts: Parts, over: Callable[[], None]) -> None:
        self._parts = parts
        self._over = over

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def detach(self) -> int | None:
        """Wait for nothing from now on: the descriptor to watch, or None where that cannot be."""
        return self._parts.detach()

    def close(self) -> None:
        """No more parts are wanted."""
        try:
            self._parts.close()
        finally:
            self._over()
