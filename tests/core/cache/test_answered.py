from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from app.core.cache.answered import Judge
from app.core.styles import STYLES
from tests.core.quick import cut, cuts, quick

CHAT, MESSAGES, RESPONSES, COMPLETIONS, EMBEDDINGS = STYLES


def _judge(endpoint: str = CHAT, **body: Any) -> Judge:
    return Judge(STYLES[endpoint], body)


def _is_fit(endpoint: str, answer: Any, **body: Any) -> bool:
    return _judge(endpoint, **body).plain(json.dumps(answer).encode())


def _chat(reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"id": "gen-1", "choices": [{"index": 0, "finish_reason": reason, "message": {"content": "a", **message}}]}


def _message(reason: str | None = "end_turn", *blocks: Any) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "text", "text": "a"}, *blocks], "stop_reason": reason}


def _said(*parts: Any) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": "a"}, *parts]}


def _response(status: str = "completed", *items: Any) -> dict[str, Any]:
    return {"id": "gen-1", "status": status, "output": [*items] or [_said()]}


@pytest.mark.parametrize(
    ("endpoint", "answer"),
    [
        (CHAT, _chat()),
        (CHAT, _chat(tool_calls=[], refusal=None)),
        (COMPLETIONS, {"choices": [{"text": "a", "finish_reason": "stop"}]}),
        (MESSAGES, _message()),
        (MESSAGES, _message("stop_sequence", {"type": "thinking", "thinking": "a"})),
        (RESPONSES, _response()),
        (RESPONSES, _response("completed", {"type": "reasoning", "summary": []}, _said())),
        (EMBEDDINGS, {"object": "list", "data": [{"embedding": [0.1]}]}),
    ],
)
def test_fit(endpoint: str, answer: Any) -> None:
    """A whole answer of text that its model brought to an end is fit."""
    assert _is_fit(endpoint, answer)


@pytest.mark.parametrize(
    ("endpoint", "answer"),
    [
        pytest.param(CHAT, _chat("length"), id="cut at max_tokens"),
        pytest.param(CHAT, _chat("content_filter"), id="filtered"),
        pytest.param(CHAT, _chat("tool_calls"), id="tool calls by reason"),
        pytest.param(CHAT, _chat("error"), id="error by reason"),
        pytest.param(CHAT, _chat(None), id="no reason"),
        pytest.param(CHAT, _chat(["stop"]), id="strange reason"),  # type: ignore[arg-type]
        pytest.param(CHAT, _chat(tool_calls=[{"id": "x"}]), id="tool calls"),
        pytest.param(CHAT, _chat(images=[{"type": "image_url"}]), id="image"),
        pytest.param(CHAT, _chat(audio={"id": "x"}), id="sound"),
        pytest.param(CHAT, _chat(refusal="I will not."), id="refusal"),
        pytest.param(CHAT, {**_chat(), "error": {"message": "x"}}, id="error beside"),
        pytest.param(CHAT, {"choices": [*_chat()["choices"], *_chat("length")["choices"]]}, id="one of two cut"),
        pytest.param(CHAT, {"choices": [{"finish_reason": "stop", "message": {"content": ""}}]}, id="empty"),
        pytest.param(CHAT, {"choices": []}, id="no choices"),
        pytest.param(CHAT, [], id="no object"),
        pytest.param(COMPLETIONS, {"choices": [{"text": "a", "finish_reason": "length"}]}, id="completion cut"),
        pytest.param(COMPLETIONS, {"choices": [{"text": "a"}]}, id="completion without reason"),
        pytest.param(MESSAGES, _message("max_tokens"), id="message cut"),
        pytest.param(MESSAGES, _message("refusal"), id="message refused"),
        pytest.param(MESSAGES, _message("pause_turn"), id="message paused"),
        pytest.param(MESSAGES, _message(None), id="message without reason"),
        pytest.param(MESSAGES, _message("end_turn", {"type": "tool_use", "name": "x"}), id="tool_use"),
        pytest.param(MESSAGES, _message("end_turn", {"type": "server_tool_use"}), id="server_tool_use"),
        pytest.param(MESSAGES, {**_message(), "error": {"type": "api_error"}}, id="message with error"),
        pytest.param(RESPONSES, _response("incomplete"), id="response cut"),
        pytest.param(RESPONSES, _response("failed"), id="response failed"),
        pytest.param(RESPONSES, _response("completed", _said(), {"type": "function_call"}), id="function_call"),
        pytest.param(RESPONSES, _response("completed", {"type": "image_generation_call"}), id="image call"),
        pytest.param(RESPONSES, _response("completed", _said({"type": "refusal"})), id="response refused"),
        pytest.param(EMBEDDINGS, {"data": []}, id="no vectors"),
    ],
)
def test_unfit(endpoint: str, answer: Any) -> None:
    """What was cut, refused, empty or an error is not fit, nor what holds more than text."""
    assert not _is_fit(endpoint, answer)


def test_not_json() -> None:
    """What is no JSON is not fit."""
    assert not _judge().plain(b"<html>")


def _sse(*events: Any) -> bytes:
    return b"".join(
        b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n" for one in events
    )


def _chunk(index: int = 0, reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "gen-1", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


DONE = b"[DONE]"
STREAMS = {
    CHAT: _sse(_chunk(content="a"), _chunk(content="b"), _chunk(reason="stop"), DONE),
    COMPLETIONS: _sse(
        {"choices": [{"text": "a", "finish_reason": None}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}, DONE
    ),
    MESSAGES: _sse(
        {"type": "message_start", "message": {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ),
    RESPONSES: _sse(
        {"type": "response.created", "response": {"status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "item": {"type": "message", "content": []}},
        {"type": "response.output_text.delta", "delta": "a"},
        {"type": "response.completed", "response": _response()},
        DONE,
    ),
}


@pytest.mark.parametrize("endpoint", STREAMS)
@given(where=cuts)
@quick
def test_stream(endpoint: str, where: list[float]) -> None:
    """A stream is fit with its last word and not before, however it is cut into pieces."""
    judge = _judge(endpoint)
    *most, last = [piece for piece in cut(STREAMS[endpoint], where) if piece]

    for piece in most:
        judge.feed(piece)
        assert not judge.is_fit
    judge.feed(last)

    assert judge.is_over
    assert judge.is_fit


@pytest.mark.parametrize("endpoint", STREAMS)
def test_cut_stream(endpoint: str) -> None:
    """A stream without its last event is not fit."""
    judge = _judge(endpoint)
    judge.feed(STREAMS[endpoint].rpartition(b"data: ")[0])

    assert not judge.is_fit


@pytest.mark.parametrize(
    ("endpoint", "stream"),
    [
        pytest.param(CHAT, _sse(_chunk(content="a"), _chunk(reason="length"), DONE), id="cut at max_tokens"),
        pytest.param(CHAT, _sse(_chunk(content="a"), _chunk(reason="error"), DONE), id="error"),
        pytest.param(CHAT, _sse(_chunk(tool_calls=[{"id": "x"}]), _chunk(reason="stop"), DONE), id="tool calls"),
        pytest.param(CHAT, _sse(_chunk(images=[{}]), _chunk(reason="stop"), DONE), id="image"),
        pytest.param(CHAT, _sse(_chunk(reason="stop"), DONE), id="empty"),
        pytest.param(CHAT, _sse(_chunk(content="a"), DONE), id="no reason"),
        pytest.param(CHAT, _sse(_chunk(content="a"), b"{not json}", _chunk(reason="stop"), DONE), id="not json"),
        pytest.param(CHAT, _sse(_chunk(content="a"), {"error": {"message": "x"}}, DONE), id="error event"),
        pytest.param(
            MESSAGES,
            _sse({"type": "content_block_start", "content_block": {"type": "tool_use"}}) + STREAMS[MESSAGES],
            id="tool_use",
        ),
        pytest.param(MESSAGES, STREAMS[MESSAGES].replace(b"end_turn", b"max_tokens"), id="message cut"),
        pytest.param(MESSAGES, _sse({"type": "error", "error": {}}) + STREAMS[MESSAGES], id="message error"),
        pytest.param(RESPONSES, STREAMS[RESPONSES].replace(b"completed", b"incomplete"), id="response cut"),
        pytest.param(
            RESPONSES,
            _sse({"type": "response.output_item.added", "item": {"type": "function_call"}}) + STREAMS[RESPONSES],
            id="function_call",
        ),
        pytest.param(
            RESPONSES,
            _sse({"type": "response.content_part.added", "part": {"type": "refusal"}}) + STREAMS[RESPONSES],
            id="response refused",
        ),
    ],
)
def test_unfit_stream(endpoint: str, stream: bytes) -> None:
    """What a stream says of errors, cuts, refusals or tools makes it unfit."""
    judge = _judge(endpoint)
    judge.feed(stream)

    assert not judge.is_fit


def test_each_choice_counts() -> None:
    """With n=2 a stream is fit when both choices ended well."""
    both = [_chunk(0, content="a"), _chunk(1, content="b"), _chunk(0, "stop")]
    well, badly = _judge(n=2), _judge(n=2)

    well.feed(_sse(*both, _chunk(1, "stop"), DONE))
    badly.feed(_sse(*both, _chunk(1, "length"), DONE))

    assert (True, False) == (well.is_fit, badly.is_fit)
