"""`POST /completions`, the older style: a prompt is continued."""

from __future__ import annotations

from app.sandbox import refusals, shapes
from app.sandbox.dialects.base import Part
from app.sandbox.dialects.chat import Chat
from app.sandbox.shapes import Reply
from app.sandbox.wire import Json


class Completions(Chat):
    """Chat's chunks and answers, with `text` in place of delta and message."""

    path = "/completions"

    def to_chat(self, fields: Json) -> Json:
        """The prompt, one text as the documentation has it, as what a user says."""
        prompt = fields.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            raise refusals.error(400, "Invalid input: 'prompt' must be a string")
        return {**fields, "messages": [{"role": "user", "content": prompt}]}

    def parts(self, reply: Reply) -> list[Part]:
        """One chunk for each piece of text; there is no thinking aloud and there are no tools."""
        return [
            Part(_chunk(reply, str(part.delta.get("content") or "")), part.tokens, thinking=part.thinking)
            for part in shapes.parts(reply)
        ]

    def finish(self, reply: Reply) -> list[Json]:
        """The chunk with the finish reason."""
        return [_chunk(reply, "", reply.answer.finish, reply.native_finish)]

    def last(self, reply: Reply, spent: Json | None) -> list[Json]:
        """The chunk with the usage."""
        return [] if spent is None else [{**self.finish(reply)[0], "usage": spent}]

    def plain(self, reply: Reply, spent: Json | None) -> Json:
        """The completion."""
        body = _chunk(reply, reply.answer.text, reply.answer.finish, reply.native_finish)
        return body if spent is None else {**body, "usage": spent}

    def error(self, reply: Reply, error: Json, *, begun: bool) -> Json:
        """The documented chunk, with a text."""
        return {**_chunk(reply, "", "error", "error"), "error": error}

    def broken(self, reply: Reply, count: int, error: Json) -> Json:
        """The error inside the choice."""
        body = _chunk(reply, "".join(reply.answer.pieces[:count]), "error", "error")
        body["choices"][0]["error"] = error
        return body

    def nothing(self, reply: Reply) -> list[Json]:
        """A chunk whose list of choices is empty."""
        return [{**_chunk(reply, ""), "choices": []}]

    def plain_nothing(self, reply: Reply) -> Json:
        """A completion whose list of choices is empty."""
        return self.nothing(reply)[0]


def _chunk(reply: Reply, text: str, finish: str | None = None, native: str | None = None) -> Json:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "native_finish_reason": native}
    head = {"id": reply.id, "object": "text_completion", "created": reply.created}
    return {**head, "model": reply.model.wire_name, "provider": reply.model.provider, "choices": [choice]}
