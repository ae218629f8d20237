"""`POST /embeddings`: vectors that depend on the text and on nothing else."""

from __future__ import annotations

import base64
import hashlib
import math
import random
import struct
from typing import Any

from app.sandbox import refusals
from app.sandbox.dialects.base import Dialect, Part
from app.sandbox.shapes import Reply
from app.sandbox.wire import Json, dollars

_DIMENSIONS = 1536


class Embeddings(Dialect):
    """Fields and order as recorded 2026-08-19; that head had no X-Generation-Id."""

    path = "/embeddings"
    end = None
    tells_generation = False

    def to_chat(self, fields: Json) -> Json:
        """Each input as a message, so that its tokens are counted."""
        texts = inputs(fields)
        if not texts:
            raise refusals.error(400, "Invalid input: 'input' must be a string or an array")
        if fields.get("encoding_format") not in (None, "float", "base64"):
            raise refusals.error(400, "Invalid input: 'encoding_format' must be 'float' or 'base64'")
        wanted = fields.get("dimensions", _DIMENSIONS)
        if not isinstance(wanted, int) or isinstance(wanted, bool) or not 1 <= wanted <= _DIMENSIONS:
            raise refusals.error(400, "Invalid input: 'dimensions' must be a whole number above 0")
        return {**fields, "stream": False, "messages": [{"role": "user", "content": text} for text in texts]}

    def parts(self, reply: Reply) -> list[Part]:
        """Nothing is streamed."""
        raise AssertionError("embeddings are not streamed")

    def last(self, reply: Reply, spent: Json | None) -> list[Json]:
        """Nothing is streamed."""
        raise AssertionError("embeddings are not streamed")

    def plain(self, reply: Reply, spent: Json | None) -> Json:
        """A list of vectors."""
        fields = reply.fields
        size = int(fields.get("dimensions", _DIMENSIONS))
        packed = fields.get("encoding_format") == "base64"
        vectors = [_vector(text, size) for text in inputs(fields)]
        rows = [
            {"object": "embedding", "embedding": _packed(vector) if packed else vector, "index": index}
            for index, vector in enumerate(vectors)
        ]
        body: Json = {"object": "list", "data": rows, "model": reply.model.wire_name}
        told = {} if spent is None else {"usage": spent}
        return {**body, **told, "provider": reply.model.provider, "id": reply.id}

    def usage(self, reply: Reply, produced: int, thought: int) -> Json:
        """What the input cost; the answer has no tokens."""
        cost = dollars(reply.cost(produced))
        return {
            "prompt_tokens": reply.prompt_tokens,
            "total_tokens": reply.prompt_tokens,
            "cost": cost,
            "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": cost,
                "upstream_inference_prompt_cost": cost,
                "upstream_inference_completions_cost": 0,
            },
        }

    def absurd(self, tokens: int, cost: Any) -> Json:
        """Nonsense in the same words."""
        return {"prompt_tokens": tokens, "total_tokens": tokens, "cost": cost}

    def error(self, reply: Reply, error: Json, *, begun: bool) -> Json:
        """Nothing is streamed."""
        raise AssertionError("embeddings are not streamed")

    def plain_error(self, reply: Reply, error: Json) -> Json:
        """Nothing but the error."""
        return {"error": error}

    def broken(self, reply: Reply, count: int, error: Json) -> Json:
        """There are no half vectors."""
        return self.plain_error(reply, error)

    def nothing(self, reply: Reply) -> list[Json]:
        """Nothing is streamed."""
        raise AssertionError("embeddings are not streamed")

    def plain_nothing(self, reply: Reply) -> Json:
        """A list without vectors."""
        return {**self.plain(reply, None), "data": []}


def inputs(fields: Json) -> list[str]:
    """The texts to embed; tokens given as numbers count as words."""
    given = fields.get("input")
    if isinstance(given, list) and given and isinstance(given[0], int):
        given = [given]
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return [" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in listed if each]


def _vector(text: str, size: int) -> list[float]:
    source = random.Random(hashlib.sha256(text.encode(errors="replace")).digest())
    raw = [source.gauss(0, 1) for _ in range(size)]
    length = math.sqrt(sum(value * value for value in raw))
    return [round(value / length, 9) for value in raw]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
