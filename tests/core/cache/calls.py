"""Calls that ask for the cache of answers."""

from __future__ import annotations

from typing import Any

from app.core.calls import Call
from app.core.chain import Plan
from app.core.grants import SCOPES, Grant
from app.core.wishes import Wishes

BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"model": "a/b", "messages": [{"role": "user", "content": "Hello"}]},
    "/messages": {"model": "a/b", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]},
    "/responses": {"model": "a/b", "input": "Hello"},
    "/completions": {"model": "a/b", "prompt": "Hello"},
    "/embeddings": {"model": "a/b", "input": ["Hello", "you"]},
}
CHAT = "/chat/completions"


def call(endpoint: str = CHAT, body: dict[str, Any] | None = None, **facts: Any) -> Call:
    """A call of this style, with the style's least body unless another is given."""
    whole: dict[str, Any] = {
        "id": "call_1",
        "grant": Grant("jti", "notes", frozenset(SCOPES), 0, 1),
        "endpoint": endpoint,
        "plan": Plan(("a/b",)),
        "stream": False,
        "raw": b"{}",
        "changed": None,
        "body": BODIES[endpoint] if body is None else body,
        "headers": {"Accept": "application/json"},
        "wishes": Wishes(cache_s=60.0),
        "started": 0.0,
    }
    return Call(**{**whole, **facts})
