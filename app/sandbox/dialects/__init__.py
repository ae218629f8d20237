"""The API styles that OpenRouter speaks, by path: how each is read, and how its answers are written down."""

from __future__ import annotations

from app.sandbox.dialects.base import Dialect, Part
from app.sandbox.dialects.chat import Chat
from app.sandbox.dialects.completions import Completions
from app.sandbox.dialects.embeddings import Embeddings
from app.sandbox.dialects.messages import Messages
from app.sandbox.dialects.responses import Responses

DIALECTS: dict[str, Dialect] = {
    dialect.path: dialect for dialect in (Chat(), Completions(), Embeddings(), Messages(), Responses())
}

__all__ = ["DIALECTS", "Dialect", "Part"]
