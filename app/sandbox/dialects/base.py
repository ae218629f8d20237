"""What a dialect can do. Inside, every request is a chat and every answer a Reply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from app.sandbox import wire
from app.sandbox.refusals import RefusedError
from app.sandbox.shapes import Reply
from app.sandbox.wire import Json


@dataclass(frozen=True)
class Part:
    """One content event, what must come with it, and the tokens it is worth."""

    event: Json
    tokens: int = 0
    thinking: bool = False
    before: tuple[Json, ...] = ()
    after: tuple[Json, ...] = ()


class Dialect(ABC):
    """One API style."""

    path: str
    end: bytes | None = b"data: [DONE]"
    """The last frame of a stream."""
    tells_generation = True
    """The head of an answer has X-Generation-Id."""

    @abstractmethod
    def to_chat(self, fields: Json) -> Json:
        """The request as a chat asks for the same; refused with 400 where OpenRouter would."""

    def frame(self, event: Json, number: int) -> bytes:
        """An event, the nth of its stream, without the blank line."""
        return b"data: " + wire.dumps(event)

    def opening(self, reply: Reply) -> list[Json]:
        """What comes before the content."""
        return []

    @abstractmethod
    def parts(self, reply: Reply) -> list[Part]:
        """The content."""

    def finish(self, reply: Reply) -> list[Json]:
        """How the answer ended, where that has an event of its own."""
        return []

    @abstractmethod
    def last(self, reply: Reply, spent: Json | None) -> list[Json]:
        """What follows, with the usage unless it is None."""

    @abstractmethod
    def plain(self, reply: Reply, spent: Json | None) -> Json:
        """The whole answer."""

    @abstractmethod
    def usage(self, reply: Reply, produced: int, thought: int) -> Json:
        """The usage object, its money exact."""

    @abstractmethod
    def absurd(self, tokens: int, cost: Any) -> Json:
        """A usage object that tells this nonsense."""

    @abstractmethod
    def error(self, reply: Reply, error: Json, *, begun: bool) -> Json:
        """The event of an error, after content or before any."""

    @abstractmethod
    def plain_error(self, reply: Reply, error: Json) -> Json:
        """The body of a 200 that is an error."""

    @abstractmethod
    def broken(self, reply: Reply, count: int, error: Json) -> Json:
        """A plain answer of so many pieces that ended with an error."""

    @abstractmethod
    def nothing(self, reply: Reply) -> list[Json]:
        """The events of an answer in which nothing is said."""

    @abstractmethod
    def plain_nothing(self, reply: Reply) -> Json:
        """The same as a plain answer."""

    def refused(self, refused: RefusedError) -> RefusedError:
        """The refusal in this dialect's own envelope."""
        return refused
