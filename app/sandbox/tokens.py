"""A token estimate that is the same every time: one token for each four characters of a word."""

from __future__ import annotations

import re
from typing import Any

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 258
MESSAGE_TOKENS = 4

_PIECE = re.compile(r"\s*\S+|\s+$")


def count(text: str) -> int:
    """Tokens of a text."""
    return sum((len(word) + CHARACTERS_PER_TOKEN - 1) // CHARACTERS_PER_TOKEN for word in text.split())


def pieces(text: str) -> tuple[str, ...]:
    """The text cut into words, each with the white space before it; joined again they are the text."""
    return tuple(_PIECE.findall(text))


def clip(parts: tuple[str, ...], limit: int) -> tuple[str, ...]:
    """As many leading parts as fit into `limit` tokens, the last one shortened when it must be."""
    kept: list[str] = []
    for part in parts:
        size = count(part)
        if size > limit:
            lead = len(part) - len(part.lstrip())
            if limit > 0:
                kept.append(part[: lead + limit * CHARACTERS_PER_TOKEN])
            break
        kept.append(part)
        limit -= size
    return tuple(kept)


def text_of(content: Any) -> str:
    """The text of a message's content, whether it is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text", "") for part in content if isinstance(part, dict))
        return "\n".join(text for text in parts if isinstance(text, str) and text)
    return ""


def pictures_in(content: Any) -> int:
    """How many images a message's content holds."""
    if not isinstance(content, list):
        return 0
    return sum(isinstance(part, dict) and part.get("type") in {"image_url", "input_image"} for part in content)


def count_prompt(messages: list[Any], tools: object = None) -> int:
    """Tokens of a whole prompt: texts, images, tool calls and tool definitions."""
    total = count(str(tools)) if tools else 0
    for message in messages:
        content = message.get("content")
        total += MESSAGE_TOKENS + count(text_of(content)) + IMAGE_TOKENS * pictures_in(content)
        if message.get("tool_calls"):
            total += count(str(message["tool_calls"]))
    return total
