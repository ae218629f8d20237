from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest, GatewayError, RateLimited, UpstreamFailed
from app.core.meter import Reading, StreamMeter
from app.core.shapes import dump, error_event, error_object
from tests.core.quick import quick


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
    event = error_event(UpstreamFailed("Cut."), Reading("gen-1", "a/b", "P"), 1_790_000_000)
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
    data = json.loads(error_event(UpstreamFailed("Cut."), Reading(), 5).removeprefix(b"data: "))

    assert ("", "") == (data["id"], data["model"])


@given(st.text(max_size=40), st.text(max_size=10))
@quick
def test_error_event_is_one_event(message: str, code: str) -> None:
    """Whatever the error says, its event is one event and reads as an error."""
    meter = StreamMeter()
    meter.feed(error_event(GatewayError(message, code=code), Reading(), 5))

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
