from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest, BudgetExceeded, GatewayError, RateLimited, Unavailable, UpstreamFailed
from app.core.meter import BrokenEvent, Reading, Usage
from app.core.refusals import refusal, status_of
from app.core.styles import MESSAGES
from app.core.styles.base import Wish
from tests.core.quick import cut, cuts, quick
from tests.core.styles.streams import (
    BLOCK,
    DELTA,
    MESSAGE,
    START,
    STOP,
    STOP_BLOCK,
    TEXT,
    event,
    metered,
    plain,
)

HI = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({}, Wish("a/b", (), False)),
        ({"stream": True}, Wish("a/b", (), True)),
        ({"models": ["c/d"]}, Wish("a/b", ("c/d",), False)),
        ({"fallbacks": [{"model": "c/d"}, {"model": "e/f"}]}, Wish("a/b", ("c/d", "e/f"), False)),
        ({"fallbacks": None}, Wish("a/b", (), False)),
    ],
    ids=["the least", "stream", "models", "fallbacks", "no fallbacks"],
)
def test_read(fields: dict[str, Any], wish: Wish) -> None:
    """Model, stream and the chain are read, the chain from either of its two names."""
    assert wish == MESSAGES.read({"model": "a/b", "messages": HI, **fields})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"fallbacks": ["c/d"]}, "fallbacks"),
        ({"fallbacks": [{"name": "c/d"}]}, "models"),
        ({"fallbacks": [{"model": "c/d"}], "models": ["e/f"]}, "fallbacks"),
    ],
)
def test_refused(fields: dict[str, Any], param: str) -> None:
    """What cannot be meant is refused by the name of its field."""
    with pytest.raises(BadRequest) as caught:
        MESSAGES.read({"model": "a/b", "messages": HI, **fields})

    assert param == caught.value.param


@given(cuts)
@quick
def test_whole(where: list[float]) -> None:
    """However a stream is cut into chunks, its meter reads model, usage and end the same."""
    meter = MESSAGES.meter({})
    for piece in cut(MESSAGE, where):
        meter.feed(piece)

    reading = meter.reading
    assert reading.whole
    assert reading.done
    assert ("anthropic/claude-4.5-sonnet-20250929", "Anthropic", "end_turn") == (
        reading.model,
        reading.provider,
        reading.finish_reason,
    )
    assert Usage(20, 15, 35, 5, None, 1_000_000, None) == reading.usage


@given(st.integers(0, len(MESSAGE) - 2))
@quick
def test_never_whole_before_its_end(length: int) -> None:
    """Before message_stop is there, no beginning of a stream counts as a whole answer."""
    assert not metered(MESSAGES, MESSAGE[:length]).whole


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (START, False),
        (START + event("ping"), False),
        (START + BLOCK, False),
        (START + BLOCK + TEXT, True),
        (START + event("content_block_start", index=0, content_block={"type": "tool_use", "name": "f"}), True),
        (event("content_block_delta", delta={"type": "input_json_delta", "partial_json": ""}), False),
        (event("content_block_delta", delta={"type": "input_json_delta", "partial_json": "{"}), True),
        (event("content_block_delta", delta={"type": "thinking_delta", "thinking": "Hm"}), True),
        (event("something_new", with_content=1), True),
        (event("something_new"), False),
    ],
    ids=["start", "ping", "empty block", "text", "tool", "no arguments", "arguments", "thinking", "new", "bare"],
)
def test_content(stream: bytes, expected: bool) -> None:
    """Content is what the model says; pings and beginnings are none."""
    assert expected is metered(MESSAGES, stream).has_content


def test_done_is_no_end() -> None:
    """[DONE] ends nothing here: without message_stop it is a broken stream."""
    with pytest.raises(BrokenEvent):
        metered(MESSAGES, START + BLOCK + TEXT + STOP_BLOCK + DELTA + b"data: [DONE]\n\n")

    assert metered(MESSAGES, MESSAGE + b"data: [DONE]\n\n").whole


def test_cost_at_the_beginning() -> None:
    """What message_start says of the cost is not believed: nothing has been made by then."""
    usage = metered(MESSAGES, START + BLOCK + TEXT).usage

    assert usage is not None
    assert (20, None) == (usage.prompt_tokens, usage.cost)


@pytest.mark.parametrize(
    ("kind", "status"), [("overloaded_error", 529), ("rate_limit_error", 429), ("api_error", 500), ("new_error", 502)]
)
def test_error_event(kind: str, status: int) -> None:
    """An error event ends the stream as a failure with the status of its type, whatever follows it."""
    error = event("error", error={"type": kind, "message": "Overloaded"})

    reading = metered(MESSAGES, START + BLOCK + TEXT + error + DELTA + STOP)

    assert not reading.whole
    assert status == status_of(reading.error)


def test_plain() -> None:
    """A plain message tells its blocks, its usage with the cost, and the id by which OpenRouter knows it."""
    message = {
        "id": "gen-1-abc", "type": "message", "model": "m", "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2, "cost": 0.5, "is_byok": False},
    }  # fmt: skip

    answer, reading = plain(MESSAGES, b"\n   \n" + json.dumps(message).encode())

    assert message["content"] == MESSAGES.said(answer)
    assert reading.has_content
    assert ("gen-1-abc", "end_turn") == (reading.generation_id, reading.finish_reason)
    assert Usage(3, 2, 5, None, None, 500_000_000, False) == reading.usage


def test_foreign_id() -> None:
    """The provider's own id of a message is not taken for OpenRouter's of the generation."""
    assert metered(MESSAGES, MESSAGE).generation_id is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), "invalid_request_error"),
        (BudgetExceeded("x"), "billing_error"),
        (RateLimited("x"), "rate_limit_error"),
        (UpstreamFailed("x"), "api_error"),
        (Unavailable("x"), "overloaded_error"),
        (GatewayError("x"), "api_error"),
        (Unavailable("x", code="paused"), "permission_error"),
        (Unavailable("x", code="ended"), "api_error"),
    ],
)
def test_errors(error: GatewayError, kind: str) -> None:
    """An error has Anthropic's envelope and type, plain and as an event, with our code as error_type."""
    body = MESSAGES.error_body(error, numeric_code=True, call_id="call_1")
    name, data = MESSAGES.error_event(error, Reading(), 0).split(b"\n", 1)

    assert {"type": "error", "request_id": "call_1"} == {key: body[key] for key in ("type", "request_id")}
    assert (kind, "x", error.code) == tuple(body["error"][key] for key in ("type", "message", "error_type"))
    assert b"event: error" == name
    assert body["error"] == json.loads(data.removeprefix(b"data: "))["error"]


def test_upstream_refusal() -> None:
    """OpenRouter's refusal in Anthropic's envelope keeps its words, its name and its metadata."""
    told = {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "Slow down", "error_type": "rate_limit_exceeded"},
        "metadata": {"limit_source": "openrouter_free_tier_daily"},
        "request_id": None,
    }

    error = refusal(429, {}, json.dumps(told).encode(), 0)

    assert (429, "Slow down", "rate_limit_exceeded") == (error.status, error.message, error.code)
    assert {"limit_source": "openrouter_free_tier_daily"} == error.metadata


def test_within() -> None:
    """The longest answer is max_tokens."""
    assert 9 == MESSAGES.within({"max_tokens": 100}, 9)["max_tokens"]
