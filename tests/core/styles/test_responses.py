from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest, RateLimited, UpstreamFailed
from app.core.meter import BrokenEvent, Reading, Usage
from app.core.refusals import status_of
from app.core.styles import RESPONSES
from app.core.styles.base import Wish
from tests.core.quick import cut, cuts, quick
from tests.core.styles.streams import SAMPLES, event, metered, plain

RECORDED = (SAMPLES / "responses_stream_2026-08-04.body.sse").read_bytes()
THINKING = (SAMPLES / "responses_stream_cot.body.sse").read_bytes()
CLOSING = RECORDED.index(b'data: {"type":"response.completed"')
DONE = RECORDED.index(b"data: [DONE]")
BEGUN = RECORDED[:CLOSING]


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({"input": "Hi"}, Wish("a/b", (), False)),
        ({"input": [{"role": "user", "content": "Hi"}], "stream": True}, Wish("a/b", (), True)),
        ({"input": [{"type": "function_call_output", "output": "1"}]}, Wish("a/b", (), False)),
        ({"prompt": {"id": "pmpt_1"}}, Wish("a/b", (), False)),
        ({"input": "Hi", "models": ["c/d"], "background": False}, Wish("a/b", ("c/d",), False)),
    ],
)
def test_read(fields: dict[str, Any], wish: Wish) -> None:
    """Model, stream and chain are read from every form of input."""
    assert wish == RESPONSES.read({"model": "a/b", **fields})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": "x", "background": True}, "background"),
    ],
)  # fmt: skip
def test_refused(fields: dict[str, Any], param: str) -> None:
    """What cannot be meant, or whose cost could not be counted, is refused by the name of its field."""
    with pytest.raises(BadRequest) as caught:
        RESPONSES.read({"model": "a/b", **fields})

    assert param == caught.value.param


@given(cuts)
@quick
def test_recorded(where: list[float]) -> None:
    """However the recorded stream is cut into chunks, its meter reads id, model, usage and end the same."""
    meter = RESPONSES.meter({})
    for piece in cut(RECORDED, where):
        meter.feed(piece)

    reading = meter.reading
    assert reading.whole
    assert ("gen-1785882264-Dc8eXAHSnjmKOswYtXdR", "openai/gpt-4o", "completed") == (
        reading.generation_id,
        reading.model,
        reading.finish_reason,
    )
    assert Usage(17, 4, 21, 0, 0, 82_500, False) == reading.usage


def test_recorded_reasoning() -> None:
    """A recorded answer with reasoning is whole, and its reasoning counted."""
    reading = metered(RESPONSES, THINKING)

    assert reading.whole
    assert reading.usage is not None
    assert (22, 11_300) == (reading.usage.reasoning_tokens, reading.usage.cost)


@given(st.integers(0, DONE - 2))
@quick
def test_never_whole_before_its_end(length: int) -> None:
    """Before response.completed is there, no beginning of a stream counts as a whole answer."""
    assert not metered(RESPONSES, RECORDED[:length]).whole


def test_closing_event_is_enough() -> None:
    """After response.completed the answer is whole, also without [DONE]; only last words can follow."""
    reading = metered(RESPONSES, RECORDED[:DONE])

    assert reading.whole
    assert reading.has_finished
    assert not reading.done


def test_done_is_no_end() -> None:
    """[DONE] without the closing event is a broken stream."""
    with pytest.raises(BrokenEvent):
        metered(RESPONSES, BEGUN + b"data: [DONE]\n\n")


def test_incomplete() -> None:
    """An answer that reached max_output_tokens is whole, as far as it goes."""
    closing = event("response.incomplete", response={"status": "incomplete", "output": [], "usage": {"cost": 0.25}})

    reading = metered(RESPONSES, BEGUN + closing)

    assert reading.whole
    assert "incomplete" == reading.finish_reason


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (event("response.failed", response={"error": {"code": "rate_limit_exceeded", "message": "Slow"}}), 429),
        (event("response.failed", response={"error": {"code": "server_error", "message": "Broke"}}), 500),
        (event("response.failed", response={}), 502),
        (event("error", code="server_error", message="Broke", param=None), 500),
        (b'data: {"error":{"code":502,"message":"Broke"}}\n\n', 502),
    ],
    ids=["limited", "failed", "bare", "error", "chat's way"],
)
def test_failures(failure: bytes, status: int) -> None:
    """Every kind of failure ends the stream, with its status, whatever follows."""
    reading = metered(RESPONSES, BEGUN + failure + RECORDED[CLOSING:])

    assert not reading.whole
    assert status == status_of(reading.error)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (event("response.created", response={"id": "gen-1", "output": []}), False),
        (event("response.in_progress", response={"id": "gen-1", "output": []}), False),
        (event("response.output_item.added", item={"type": "message", "content": []}), False),
        (event("response.output_item.added", item={"type": "function_call", "name": "f"}), True),
        (event("response.content_part.added", part={"type": "output_text", "text": ""}), False),
        (event("response.output_text.delta", delta=""), False),
        (event("response.output_text.delta", delta="Hi"), True),
        (event("response.reasoning_text.delta", delta="Hm"), True),
        (event("response.web_search_call.in_progress", item_id="ws_1"), True),
    ],
)
def test_content(stream: bytes, expected: bool) -> None:
    """Content is what the model says or does; beginnings are none."""
    assert expected is metered(RESPONSES, stream).has_content


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_plain(status: str) -> None:
    """A plain response that came to its end is an answer with items and usage."""
    body = {
        "id": "gen-1", "model": "m", "status": status, "error": None, "usage": {"input_tokens": 1, "cost": 0.5},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
    }  # fmt: skip

    answer, reading = plain(RESPONSES, json.dumps(body).encode())

    assert body["output"] == RESPONSES.said(answer)
    assert (None, True) == (reading.error, reading.has_content)
    assert reading.usage is not None
    assert 500_000_000 == reading.usage.cost


@pytest.mark.parametrize("status", ["in_progress", "queued", "cancelled", None])
def test_unfinished(status: str | None) -> None:
    """A plain response that is not over is no answer."""
    assert RESPONSES.said({"status": status, "output": [{"type": "message"}]}) is None


def test_failed_plain() -> None:
    """A plain response that failed is an error, by its name."""
    body = {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "Slow"}, "output": []}

    _, reading = plain(RESPONSES, json.dumps(body).encode())

    assert 429 == status_of(reading.error)


def test_error_event() -> None:
    """A broken stream ends with response.failed, numbered on, with the error where SDKs raise it."""
    reading = metered(RESPONSES, BEGUN)
    told = json.loads(RESPONSES.error_event(UpstreamFailed("Broke", code="stream_incomplete"), reading, 5)[6:])

    assert ("response.failed", 11) == (told["type"], told["sequence_number"])
    assert ("failed", reading.generation_id) == (told["response"]["status"], told["response"]["id"])
    assert {"code": "server_error", "message": "Broke"} == told["response"]["error"]
    assert "stream_incomplete" == told["error"]["code"]
    limited = json.loads(RESPONSES.error_event(RateLimited("x"), Reading(), 5)[6:])
    assert "rate_limit_exceeded" == limited["response"]["error"]["code"]
