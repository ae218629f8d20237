"""`POST /chat/completions`."""

from __future__ import annotations

from typing import Any

from app.sandbox import shapes
from app.sandbox.dialects.base import Dialect, Part
from app.sandbox.shapes import Reply
from app.sandbox.wire import Json

_EMPTY: Json = {"content": "", "role": "assistant"}


class Chat(Dialect):
    """Fields and order as recorded 2026-06-08."""

    path = "/chat/completions"

    def to_chat(self, fields: Json) -> Json:
        """It is one."""
        return fields

    def parts(self, reply: Reply) -> list[Part]:
        """One chunk for each delta."""
        return [
            Part(shapes.chunk(reply, part.delta), part.tokens, thinking=part.thinking) for part in shapes.parts(reply)
        ]

    def finish(self, reply: Reply) -> list[Json]:
        """The chunk with the finish reason."""
        return [shapes.chunk(reply, _EMPTY, reply.answer.finish, reply.native_finish)]

    def last(self, reply: Reply, spent: Json | None) -> list[Json]:
        """The chunk with the usage."""
        return [] if spent is None else [shapes.last_chunk(reply, spent)]

    def plain(self, reply: Reply, spent: Json | None) -> Json:
        """The completion."""
        return shapes.completion(reply, spent)

    def usage(self, reply: Reply, produced: int, thought: int) -> Json:
        """OpenAI's counts with OpenRouter's cost."""
        return shapes.usage(reply, produced, thought)

    def absurd(self, tokens: int, cost: Any) -> Json:
        """Nonsense in the same words."""
        return {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens, "cost": cost}

    def error(self, reply: Reply, error: Json, *, begun: bool) -> Json:
        """The documented chunk."""
        return shapes.chunk(reply, {"content": ""}, "error", "error", error=error)

    def plain_error(self, reply: Reply, error: Json) -> Json:
        """Nothing but the error."""
        return {"error": error}

    def broken(self, reply: Reply, count: int, error: Json) -> Json:
        """The error inside the choice."""
        body = shapes.completion(reply, None)
        choice = body["choices"][0]
        choice |= {"finish_reason": "error", "native_finish_reason": "error", "error": error}
        choice["message"]["content"] = "".join(reply.answer.pieces[:count])
        return body

    def nothing(self, reply: Reply) -> list[Json]:
        """A chunk whose list of choices is empty."""
        return [{**shapes.chunk(reply, {}), "choices": []}]

    def plain_nothing(self, reply: Reply) -> Json:
        """A completion whose list of choices is empty."""
        return {**shapes.completion(reply, None), "choices": []}
