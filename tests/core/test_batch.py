from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.batch import BadLine, Item, read

CHAT = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}


def _read(*lines: Any, model: str | None = "a/b") -> list[Item]:
    return read([json.dumps(line).encode() for line in lines], model)


@pytest.mark.parametrize(
    "line",
    [
        "Hi",
        {"prompt": "Hi"},
        CHAT,
        {"body": CHAT},
        {"custom_id": "line-1", "body": CHAT},
        {"custom_id": "line-1", "method": "POST", "url": "/v1/chat/completions", "body": CHAT},
    ],
    ids=["text", "prompt", "chat", "body", "custom_id", "openai"],
)
def test_forms(line: Any) -> None:
    """Each form of a line is the same request; without a custom_id its number is its name."""
    (item,) = _read(line)

    assert ("line-1", "/v1/chat/completions", CHAT) == (item.custom_id, item.path, item.body)
    assert CHAT == json.loads(item.raw)


def test_other_style() -> None:
    """The url names the API style; its body is the gateway's to judge."""
    (item,) = _read({"custom_id": "e", "url": "/v1/embeddings", "body": {"input": "x"}})

    assert ("/v1/embeddings", {"model": "a/b", "input": "x"}) == (item.path, item.body)


@pytest.mark.parametrize(
    ("style", "body", "why"),
    [
        ("messages", {"messages": []}, "messages must be"),
        ("messages", {"messages": CHAT["messages"], "fallbacks": 1}, "fallbacks must be"),
        ("responses", {"prompt": "Hi"}, "input must be"),
        ("responses", {"input": "Hi", "background": True}, "background"),
        ("completions", {"prompt": 1}, "prompt must be"),
        ("embeddings", {"input": []}, "input must be"),
        ("embeddings", {"input": "x", "models": [f"a/{n}" for n in range(11)]}, "at most 10"),
    ],
)
def test_bad_bodies(style: str, body: dict[str, Any], why: str) -> None:
    """What an API style's body must have is looked for before anything is sent."""
    with pytest.raises(BadLine, match=why):
        _read({"url": f"/v1/{style}", "body": body})


def test_own_model() -> None:
    """A line's own model, or chain, goes before the one for all."""
    items = _read({"prompt": "Hi", "model": "c/d"}, {"prompt": "Hi", "models": ["c/d", "e/f"]})

    assert ["c/d", None] == [item.body.get("model") for item in items]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"\xff", "UTF-8"),
        (b"17", "must be a text"),
        (b"[]", "must be a text"),
        (b"{}", "must be a text"),
        (b'{"prompt": 1}', "prompt must be"),
        (b'{"prompt": "a", "prompt": "b"}', "twice"),
        (b'{"body": 1}', "body must be"),
        (b'{"body": {}, "priority": 1}', "not 'priority'"),
        (b'{"body": {}, "method": "GET"}', "method must be POST"),
        (b'{"body": {}, "url": "/v1/credits"}', "url must be one of /v1/chat/completions"),
        (b'{"body": {}, "url": ["x"]}', "url must be"),
        (b'{"custom_id": 7, "prompt": "a"}', "custom_id must be"),
        (b'{"custom_id": "line-1", "prompt": "a"}', "that of line 1 already"),
        (b'{"messages": []}', "messages must be"),
        (b'{"prompt": "a", "stream": true}', "leave stream out"),
        (b'{"prompt": "a", "models": ["openrouter/auto", "a/b"]}', "chain"),
        (b'"\\ud800"', "UTF-8"),
    ],
)
def test_bad_lines(line: bytes, why: str) -> None:
    """What is no request is named by its line, with what is wrong."""
    with pytest.raises(BadLine) as caught:
        read([b'"good"', line], "a/b")

    assert str(caught.value).startswith("Line 2: ")
    assert why in str(caught.value)


def test_no_model() -> None:
    """A line without a model needs one from the command line."""
    with pytest.raises(BadLine, match="--model"):
        _read("Hi", model=None)


def test_identity() -> None:
    """A request is another one as soon as its id, its address or its body is."""
    lines = ["Hi", "Ho", {"custom_id": "x", "prompt": "Hi"}, {"body": CHAT, "url": "/api/v1/chat/completions"}]

    identities = [_read(line)[0].identity for line in lines] + [_read("Hi", model="c/d")[0].identity]

    assert 5 == len(set(identities))
    assert identities[0] == _read("Hi")[0].identity
