from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest, GatewayError, RateLimited, UpstreamFailed
from app.core.meter import Reading
from app.core.shapes import dump, error_object
from app.core.sse import SseDecoder
from app.core.styles import CHAT
from tests.core.quick import quick
from tests.core.styles.streams import plain

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def test_error_object() -> None:
    """An error in OpenAI's shape has message, type, code and param, also when no field is to blame."""
    assert {
        "message": "Broken.",
        "type": "model_error",
        "code": "upstream_error",
        "param": None,
    } == error_object(UpstreamFailed("Broken."))


def test_error_object_with_facts() -> None:
    """All that is known of an error is beside it."""
    error = RateLimited(
        "Wait.",
        code="quota",
        param="model",
        details={"limit": 30},
        metadata={"provider_name": "P"},
        availability={"code": "capacity_exhausted"},
        retry_after_s=0,
    )

    assert {
        "message": "Wait.",
        "type": "rate_limit_error",
        "code": "quota",
        "param": "model",
        "details": {"limit": 30},
        "retry_after": 0,
        "metadata": {"provider_name": "P"},
        "availability": {"code": "capacity_exhausted"},
    } == error_object(error)


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        pytest.param(None, {"error_type": "invalid_request"}, id="none"),
        pytest.param({"raw": "x"}, {"error_type": "invalid_request", "raw": "x"}, id="beside theirs"),
        pytest.param({"error_type": "theirs"}, {"error_type": "theirs"}, id="theirs wins"),
    ],
)
def test_numeric_code(metadata: dict[str, Any] | None, shown: dict[str, Any]) -> None:
    """For OpenRouter's SDKs the code is the status, and ours stands where OpenRouter keeps its own."""
    error = BadRequest("Wrong.", metadata=metadata)
    wire = error_object(error, numeric_code=True)

    assert (400, shown) == (wire["code"], wire["metadata"])
    assert metadata == error.metadata


def test_error_event() -> None:
    """A broken stream ends with one chunk that names the answer, its model and the error."""
    event = CHAT.error_event(UpstreamFailed("Cut."), Reading("gen-1", "a/b", "P"), 1_790_000_000)
    data = json.loads(event.removeprefix(b"data: "))

    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "a/b",
        "error": error_object(UpstreamFailed("Cut."), numeric_code=True),
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}],
    } == data


def test_error_event_of_an_unknown_answer() -> None:
    """A stream that broke before its first word ends with a chunk of the same shape."""
    data = json.loads(CHAT.error_event(UpstreamFailed("Cut."), Reading(), 5).removeprefix(b"data: "))

    assert ("", "") == (data["id"], data["model"])


@given(st.text(max_size=40), st.text(max_size=10))
@quick
def test_error_event_is_one_event(message: str, code: str) -> None:
    """Whatever the error says, its event is one event and reads as an error."""
    meter = CHAT.meter({})
    meter.feed(CHAT.error_event(GatewayError(message, code=code), Reading(), 5))

    assert message == meter.reading.error["message"]
    assert not meter.reading.whole


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"a": [1, None, True]}, '{"a":[1,null,true]}', id="compact"),
        pytest.param("é😀\u2028", '"é😀\u2028"', id="beyond ASCII"),
        pytest.param(Decimal("0.000081"), "8.1e-05", id="decimal"),
        pytest.param(Decimal("5"), "5.0", id="whole decimal"),
        pytest.param([Decimal("1e999"), Decimal("NaN")], "[null,null]", id="no JSON number"),
        pytest.param("cut \ud83d", '"cut ?"', id="half a surrogate pair"),
    ],
)
def test_dump(value: Any, text: str) -> None:
    """What came from upstream goes out as JSON that everyone can read."""
    assert text == dump(value).decode()


def test_dump_of_what_is_no_json() -> None:
    """A value that has no place in JSON is a mistake of ours and is not hidden."""
    with pytest.raises(TypeError, match="set"):
        dump({1})


PLAIN: dict[str, Any] = {
    "id": "gen-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "a/b",
    "provider": "P",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi", "refusal": None}, "finish_reason": "length"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "cost": Decimal("0.000081")},
}


def events_of(stream: bytes) -> list[Any]:
    """The JSON events of a stream that says [DONE] at its end."""
    *events, done = SseDecoder().feed(stream)
    assert done == b"[DONE]"
    return [json.loads(event) for event in events]


def test_as_stream() -> None:
    """A plain answer becomes what was said, how it ended with its usage, and [DONE]."""
    shared = {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "a/b",
        "provider": "P",
    }
    said = {"index": 0, "delta": {"role": "assistant", "content": "Hi", "refusal": None}, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": "length"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6, "cost": 0.000081}

    assert [{**shared, "choices": [said]}, {**shared, "choices": [ended], "usage": usage}] == events_of(
        CHAT.as_stream(PLAIN)
    )


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("chat_*.json.txt")))
def test_recorded_answer_as_stream(name: str) -> None:
    """A recorded plain answer says of itself as a stream what it said before, and is whole."""
    answer, reading = plain(CHAT, (SAMPLES / name).read_bytes())
    meter = CHAT.meter({})
    meter.feed(CHAT.as_stream(answer))

    assert replace(reading, done=True) == meter.reading
    assert (True, reading.has_content) == (meter.reading.whole, meter.reading.has_content)


def test_tool_calls_as_stream() -> None:
    """Tool calls are numbered, as clients that gather them from a stream expect."""
    calls: list[dict[str, Any]] = [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}, {"id": "c2"}]
    message = {"content": None, "tool_calls": calls}
    stream = CHAT.as_stream({"choices": [{"message": message, "finish_reason": "tool_calls"}]})

    assert [{"index": 0, **calls[0]}, {"index": 1, **calls[1]}] == events_of(stream)[0]["choices"][0]["delta"][
        "tool_calls"
    ]
    assert {"content": None, "tool_calls": calls} == message


def test_several_choices_as_stream() -> None:
    """Each choice keeps its place and its own end."""
    choices = [{"message": {"content": text}, "finish_reason": end} for text, end in (("a", "stop"), ("b", "length"))]
    first, last = events_of(CHAT.as_stream({"choices": choices}))

    assert [(0, "a"), (1, "b")] == [(choice["index"], choice["delta"]["content"]) for choice in first["choices"]]
    assert [(0, "stop"), (1, "length")] == [(choice["index"], choice["finish_reason"]) for choice in last["choices"]]
    assert "usage" not in last


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["message", "tool_calls", "finish_reason"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(ODD)
@quick
def test_odd_answer_as_stream(choices: Any) -> None:
    """Whatever stands under choices, its stream is one that a meter reads to its end."""
    meter = CHAT.meter({})
    meter.feed(CHAT.as_stream({"choices": choices}))

    assert meter.reading.done
