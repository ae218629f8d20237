"""The API styles that apps may speak, by the path of each below an address of the gateway."""

from __future__ import annotations

from app.core.styles.base import Style
from app.core.styles.chat import CHAT
from app.core.styles.completions import COMPLETIONS
from app.core.styles.embeddings import EMBEDDINGS
from app.core.styles.messages import MESSAGES
from app.core.styles.responses import RESPONSES

STYLES: dict[str, Style] = {style.endpoint: style for style in (CHAT, MESSAGES, RESPONSES, COMPLETIONS, EMBEDDINGS)}
_MOUNTS = ("/api/openrouter", "/api/v1", "/v1")


def style_of(path: str) -> Style:
    """The style in which whoever calls this path, known or not, expects to be told of errors."""
    for mount in _MOUNTS:
        if path.startswith(mount):
            first = "/" + path.removeprefix(mount).lstrip("/").partition("/")[0]
            return STYLES.get(first, CHAT)
    return CHAT


__all__ = ["CHAT", "COMPLETIONS", "EMBEDDINGS", "MESSAGES", "RESPONSES", "STYLES", "Style", "style_of"]
