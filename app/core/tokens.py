"""How many tokens a prompt has, guessed without its model's tokeniser: rather some too many than too few."""

from __future__ import annotations

import json
import re

from app.core.errors import Json
from app.core.styles import MESSAGES

_WORDS = re.compile(r"[A-Za-z]+|\d{1,3}|[^\sA-Za-z\d]|\s+")
_LETTERS_PER_TOKEN = 6
_MESSAGE_TOKENS = 4
_TOOL_TOKENS = 12
_TOOLS_TOKENS = 300
"""For the instructions that come with any tools at all (Anthropic docs, Tool use)."""

_ATTACHMENT_TOKENS = 1_600
"""For the largest picture that is not made smaller (Anthropic docs, Vision), or a page of a document."""


def of_messages(body: dict[str, Json]) -> int:
    """The tokens of Anthropic's messages, their system text and tools."""
    tools = body.get("tools")
    each = tools if isinstance(tools, list) else []
    messages = body.get("messages")
    told = MESSAGES.attached(body)
    return (
        _of_content(body.get("system"))
        + sum(_MESSAGE_TOKENS + _of_content(message.get("content")) for message in messages or ())
        + sum(_TOOL_TOKENS + of_text(json.dumps(tool, ensure_ascii=False, default=str)) for tool in each)
        + (_TOOLS_TOKENS if each else 0)
        + told.count * _ATTACHMENT_TOKENS
    )


def of_text(text: str) -> int:
    """The tokens of a text: words by their length, every mark and every letter of other scripts one."""
    total = 0
    for piece in _WORDS.findall(text):
        # One space goes with the word that follows it.
        total += -(-len(piece) // _LETTERS_PER_TOKEN) if piece[0] > " " else piece != " "
    return total


def _of_content(content: Json) -> int:
    if isinstance(content, str):
        return of_text(content)
    return sum(map(_of_block, content)) if isinstance(content, list) else 0


def _of_block(block: Json) -> int:
    if not isinstance(block, dict):
        return 0
    kind = block.get("type")
    if kind in ("text", "thinking"):
        return of_text(str(block.get(kind) or ""))
    if kind == "tool_use":
        return _TOOL_TOKENS + of_text(json.dumps(block.get("input"), ensure_ascii=False, default=str))
    if kind == "tool_result":
        return _MESSAGE_TOKENS + _of_content(block.get("content"))
    source = block.get("source")
    return of_text(str(source.get("data") or "")) if isinstance(source, dict) and source.get("type") == "text" else 0
