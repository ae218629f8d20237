from __future__ import annotations

from typing import Any

import pytest

from app.core.tokens import of_messages, of_text

DOCUMENT = {"type": "document", "source": {"type": "text", "data": "Long"}}
HI = [{"role": "user", "content": "Hello, how are you?"}]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("Hello, how are you?", 6, 8),
        ("The quick brown fox jumps over the lazy dog. " * 20, 190, 240),
        ("def f(x):\n    return x + 1\n" * 10, 100, 170),
        ("1234567890", 4, 5),
        ("こんにちは世界", 7, 8),
        ("Straße und Überfluß", 4, 12),
    ],
)
def test_text(text: str, least: int, most: int) -> None:
    """A text's tokens are guessed within what tokenisers make of it, rather too many."""
    assert least <= of_text(text) <= most


@pytest.mark.parametrize(
    "more",
    [
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "Be brief."}]},
        {"tools": [{"name": "f", "description": "Does it", "input_schema": {"type": "object"}}]},
        {"messages": [*HI, {"role": "assistant", "content": [{"type": "tool_use", "input": {"a": 1}}]}]},
        {"messages": [*HI, {"role": "user", "content": [{"type": "tool_result", "content": "Done it"}]}]},
        {"messages": [*HI, {"role": "user", "content": [{"type": "image", "source": {"data": "AAAA"}}]}]},
        {"messages": [*HI, {"role": "user", "content": [DOCUMENT]}]},
    ],
    ids=["system", "system blocks", "tools", "tool use", "tool result", "image", "document"],
)
def test_everything_counts(more: dict[str, Any]) -> None:
    """System text, tools and every kind of block add to the count."""
    body = {"messages": HI, **more}

    assert of_messages({"messages": HI}) < of_messages(body)


@pytest.mark.parametrize("content", [None, 3, [3], [{}], [{"type": "text"}], [{"type": "text", "text": None}]])
def test_odd_content(content: Any) -> None:
    """Content of no known form counts as nothing but its message."""
    assert 4 == of_messages({"messages": [{"role": "user", "content": content}]})
