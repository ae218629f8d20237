from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.meter import BrokenEvent, Reading, Usage, parse
from app.core.styles import CHAT
from app.core.styles.usage import usage_of
from tests.core.quick import cut, cuts, quick
from tests.core.styles.streams import plain

SAMPLES = Path(__file__).parents[1] / "data" / "samples"

HAIKU, SONNET = "anthropic/claude-4.5-haiku-20251001", "anthropic/claude-4.6-sonnet-20260217"

STREAMS = {
    "chat_stream_2026-06-08": Reading(
        "gen-1780944361-X5HAtL0Z2NQp8nHAiT6F",
        HAIKU,
        "Amazon Bedrock",
        Usage(15, 9, 24, cached_tokens=0, reasoning_tokens=0, cost=60_000, is_byok=False),
        "stop",
        done=True,
    ),
    "chat_stream_cache_e2e": Reading(
        "gen-1773012759-4u9w7As08eMtL75bWtu8",
        SONNET,
        "Amazon Bedrock",
        Usage(254, 5, 259, cached_tokens=0, reasoning_tokens=0, cost=837_000, is_byok=False),
        "stop",
        done=True,
    ),
    "chat_stream_inband_error": Reading(
        "gen-1762179802-UN8pkJI4AGZvryk0kFnb",
        "minimax/minimax-m2:free",
        "Minimax",
        Usage(43, 10, 53, cached_tokens=0, reasoning_tokens=11, cost=0, is_byok=False),
        "length",
        error={"code": 400, "message": "Token limit reached"},
        done=True,
    ),
    "chat_stream_reasoning": Reading(
        "gen-1765226419-AGrwjunAftQIAgweibL8",
        "anthropic/claude-sonnet-4.5",
        "Google",
        Usage(43, 36, 79, cached_tokens=0, reasoning_tokens=13, cost=669_000, is_byok=False),
        "stop",
        done=True,
    ),
    "chat_stream_with_native_options": Reading(
        "gen-1762064096-m5VxL2xrxOREwashCey6",
        "x-ai/grok-4",
        "xAI",
        Usage(687, 187, 874, cached_tokens=679, reasoning_tokens=118, cost=3_338_250, is_byok=False),
        "stop",
        done=True,
    ),
    "chat_tools_stream_2026": Reading(
        "gen-1780944515-fsD5JPpkBv13jJUuKQgs",
        HAIKU,
        "Amazon Bedrock",
        Usage(579, 41, 620, cached_tokens=0, reasoning_tokens=0, cost=784_000, is_byok=False),
        "tool_calls",
        done=True,
    ),
    "chat_web_search_tool_stream": Reading(
        "gen-1786465029-CAkqUciXgQW34RmFaTck",
        "openai/gpt-4.1-mini",
        "OpenAI",
        Usage(8174, 30, 8204, cached_tokens=0, reasoning_tokens=0, cost=13_317_600, is_byok=False),
        "stop",
        done=True,
    ),
}

EMPTY = b'data: {"choices":[{"delta":{"content":""},"finish_reason":null}]}\n\n'
FIRST = (
    b'data: {"id":"gen-1","model":"a/b","provider":"P","choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
)
STOP = b'data: {"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def recorded(name: str) -> bytes:
    """A recorded stream."""
    return (SAMPLES / f"{name}.body.sse").read_bytes()


def meter(*chunks: bytes) -> Reading:
    """What a meter reads from these chunks."""
    meter = CHAT.meter({})
    for chunk in chunks:
        meter.feed(chunk)
    return meter.reading


def usage(**fields: Any) -> bytes:
    """An event with this usage."""
    return b"data: " + json.dumps({"choices": [], "usage": fields}).encode() + b"\n\n"


def test_all_streams_are_known() -> None:
    """Every recorded chat stream has its expected reading here."""
    assert {path.name.partition(".")[0] for path in SAMPLES.glob("chat_*.sse")} == STREAMS.keys()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_recorded_stream(name: str, line_end: bytes) -> None:
    """A recorded stream says who answered, what it cost and how it ended, under any line ends."""
    stream = recorded(name).replace(b"\n", line_end)
    single_bytes = [stream[at : at + 1] for at in range(len(stream))]

    assert STREAMS[name] == meter(stream)
    assert STREAMS[name] == meter(*single_bytes)


@given(st.sampled_from(sorted(STREAMS)), cuts)
@quick
def test_cut_stream(name: str, where: list[float]) -> None:
    """A recorded stream gives the same reading however it is cut."""
    assert STREAMS[name] == meter(*cut(recorded(name), where))


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")], ids=["compact", "python", "wide"])
@pytest.mark.parametrize("name", STREAMS)
def test_spacing(name: str, separators: tuple[str, str]) -> None:
    """White space between the tokens of an event changes nothing."""
    events = [line.removeprefix("data: ") for line in recorded(name).decode().split("\n") if line.startswith("data: {")]
    spaced = [f"data: {json.dumps(json.loads(event), separators=separators)}\n\n" for event in events]

    assert STREAMS[name] == meter("".join(spaced).encode(), DONE)


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        (
            "chat_nonstream_2026-06-08",
            Reading(
                "gen-1780944464-aVi4x8Mw2aEBGnCL6z99",
                HAIKU,
                "Amazon Bedrock",
                Usage(16, 13, 29, cached_tokens=0, reasoning_tokens=0, cost=81_000, is_byok=False),
                "stop",
            ),
        ),
        (
            "chat_fallback_models_nonstream",
            Reading(
                "gen-1759509677-MpJiZ3ZkiGU3lnbM8QKo",
                "x-ai/grok-4",
                "xAI",
                Usage(687, 240, 927, cached_tokens=682, reasoning_tokens=165),
                "stop",
            ),
        ),
        (
            "chat_web_search_tool_nonstream",
            Reading(
                "gen-1786465024-LTuiAe3JFScRdoQQj2E3",
                "openai/gpt-4.1-mini",
                "OpenAI",
                Usage(8174, 30, 8204, cached_tokens=0, reasoning_tokens=0, cost=13_317_600, is_byok=False),
                "stop",
            ),
        ),
    ],
)
def test_recorded_plain_answer(name: str, reading: Reading) -> None:
    """A recorded plain answer is read the same way, also after the white space sent while the model worked."""
    body = (SAMPLES / f"{name}.body.json.txt").read_bytes()

    assert (json.loads(body, parse_float=Decimal), reading) == plain(CHAT, body)
    assert reading == plain(CHAT, b"\n         \n" + body)[1]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a":', id="cut"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="5000 digits"),
    ],
)
def test_plain_answer_that_is_none(body: bytes) -> None:
    """A body that is no JSON object says nothing."""
    assert (None, Reading()) == plain(CHAT, body)


@pytest.mark.parametrize(
    ("chunks", "whole"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param([FIRST], False, id="begun"),
        pytest.param([FIRST, STOP], True, id="finish reason without DONE"),
        pytest.param([FIRST, DONE], True, id="DONE without finish reason"),
        pytest.param([FIRST, STOP, STOP, usage(cost=1), DONE], True, id="finish reason twice"),
        pytest.param([FIRST, STOP[:-1]], False, id="cut in the last event"),
        pytest.param([FIRST, b'data: {"error":{"code":502}}\n\n', DONE], False, id="error, then DONE"),
        pytest.param([FIRST, STOP, b'data: {"error":{"code":502}}\n\n'], False, id="finish reason, then error"),
        pytest.param([FIRST, STOP.replace(b"stop", b"error")], False, id="finish reason error"),
    ],
)
def test_whole(chunks: list[bytes], whole: bool) -> None:
    """An answer is whole when it came to its own end without an error."""
    assert whole == meter(*chunks).whole


@pytest.mark.parametrize(
    ("event", "error"),
    [
        pytest.param({"error": {"code": 429, "message": "m"}}, {"code": 429, "message": "m"}, id="at the top"),
        pytest.param({"error": "text"}, "text", id="text"),
        pytest.param({"error": None}, None, id="null"),
        pytest.param({"choices": [{"error": {"code": 502}}]}, {"code": 502}, id="in the choice"),
        pytest.param(
            {"choices": [{"finish_reason": "error"}]},
            {"message": "The model ended with an error."},
            id="finish reason alone",
        ),
        pytest.param(
            {"error": {"code": 1}, "choices": [{"finish_reason": "error", "error": {"code": 2}}]},
            {"code": 1},
            id="in both places",
        ),
    ],
)
def test_error(event: dict[str, Any], error: object) -> None:
    """An error inside a 200 is found in every place where OpenRouter puts it, in streams and plain answers."""
    text = json.dumps(event).encode()

    assert error == meter(FIRST, b"data: " + text + b"\n\n").error
    assert error == plain(CHAT, text)[1].error


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({}, id="empty object"),
        pytest.param({"choices": []}, id="no choice"),
        pytest.param({"choices": None}, id="choices null"),
        pytest.param({"choices": {}}, id="choices an object"),
        pytest.param({"choices": [None]}, id="choice null"),
        pytest.param({"choices": ["text"]}, id="choice a text"),
        pytest.param({"choices": [{"finish_reason": None}]}, id="no delta"),
        pytest.param({"choices": [{"finish_reason": 7, "delta": None}]}, id="finish reason a number"),
        pytest.param({"id": 7, "model": None, "provider": ["x"]}, id="names of other types"),
        pytest.param({"id": "", "model": "", "provider": ""}, id="empty names"),
        pytest.param({"usage": None}, id="usage null"),
        pytest.param({"usage": []}, id="usage a list"),
    ],
)
def test_odd_event(event: dict[str, Any]) -> None:
    """An event of an unusual shape changes nothing of what is known."""
    text = b"data: " + json.dumps(event).encode() + b"\n\n"

    assert Reading() == meter(text)
    assert meter(FIRST) == meter(FIRST, text)


def test_first_of_several_choices() -> None:
    """The finish reason of the first choice counts, also when another is still going on."""
    event = b'data: {"choices":[{"finish_reason":"stop"},{"finish_reason":null}]}\n\n'

    assert "stop" == meter(FIRST, event).finish_reason


def test_last_usage_counts() -> None:
    """When usage comes more than once the last one stands; nothing is summed."""
    reading = meter(FIRST, usage(total_tokens=5, cost=1), usage(total_tokens=7, cost=2), STOP, DONE)

    assert Usage(total_tokens=7, cost=2_000_000_000) == reading.usage


def test_words_about_usage() -> None:
    """A text that speaks of usage and finish_reason is only a text."""
    said = json.dumps({"choices": [{"delta": {"content": '"usage":{"cost":9},"finish_reason":"stop","error":"x"'}}]})

    assert meter(FIRST) == meter(FIRST, b"data: " + said.encode() + b"\n\n")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        pytest.param({}, Usage(), id="nothing"),
        pytest.param({"cost": 0}, Usage(cost=0), id="free"),
        pytest.param({"cost": Decimal("4.8e-05")}, Usage(cost=48_000), id="exponent"),
        pytest.param({"cost": "0.5"}, Usage(cost=500_000_000), id="text"),
        pytest.param({"cost": Decimal("-0.1")}, Usage(), id="negative"),
        pytest.param({"cost": Decimal("NaN")}, Usage(), id="NaN"),
        pytest.param({"cost": Decimal("1e308")}, Usage(), id="1e308"),
        pytest.param({"cost": Decimal("1e9999999")}, Usage(), id="1e9999999"),
        pytest.param({"cost": "a lot"}, Usage(), id="words"),
        pytest.param({"cost": True}, Usage(), id="bool"),
        pytest.param({"cost": {"usd": 1}}, Usage(), id="object"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 10**9}, Usage(0, 10**9), id="bounds"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": 10**9 + 1}, Usage(), id="out of bounds"),
        pytest.param({"total_tokens": True}, Usage(), id="count a bool"),
        pytest.param({"total_tokens": "15"}, Usage(), id="count a text"),
        pytest.param({"prompt_tokens_details": None, "completion_tokens_details": 5}, Usage(), id="no details"),
        pytest.param(
            {"prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(cached_tokens=3, reasoning_tokens=4),
            id="details",
        ),
        pytest.param({"is_byok": True}, Usage(is_byok=True), id="own key"),
        pytest.param({"is_byok": "yes"}, Usage(), id="own key a text"),
    ],
)
def test_usage(fields: dict[str, Any], known: Usage) -> None:
    """A figure that is missing or absurd is unknown, and the others stand."""
    assert known == usage_of(fields)


@pytest.mark.parametrize("cost", ["NaN", "-Infinity", "1e999", "1e9999999"])
def test_cost_that_is_no_number(cost: str) -> None:
    """A cost that no JSON number can be leaves the answer whole and the cost unknown."""
    reading = meter(FIRST, f'data: {{"usage":{{"total_tokens":5,"cost":{cost}}}}}\n\n'.encode(), STOP, DONE)

    assert Usage(total_tokens=5) == reading.usage
    assert reading.whole


def test_long_names() -> None:
    """Names are kept up to 256 characters, so that a broken answer cannot fill the log."""
    reading = plain(CHAT, json.dumps(dict.fromkeys(("id", "model", "provider"), "x" * 1000)).encode())[1]

    assert ["x" * 256] * 3 == [reading.generation_id, reading.model, reading.provider]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b"data: {\n\n", id="cut object"),
        pytest.param(b"data: hello\n\n", id="words"),
        pytest.param(b"data: []\n\n", id="list"),
        pytest.param(b"data: 5\n\n", id="number"),
        pytest.param(b"data:\n\n", id="empty"),
        pytest.param(b'data: {"usage":{}\n\n', id="unbalanced"),
        pytest.param(b'data: {"usage":{"a"}}\n\n', id="wrong inside"),
        pytest.param(b"data: <html>\n\n", id="HTML"),
    ],
)
@pytest.mark.parametrize("before", [b"", FIRST], ids=["first", "later"])
def test_broken_event(before: bytes, event: bytes) -> None:
    """An event that is no JSON object is no part of an answer."""
    with pytest.raises(BrokenEvent, match="not JSON"):
        meter(before, event)


@pytest.mark.parametrize("rest", [FIRST.replace(b"a/b", b"c/d"), usage(cost=5), b"data: {broken\n\n", b"data: x\n\n"])
def test_after_done(rest: bytes) -> None:
    """What follows [DONE] is ignored, whatever it is."""
    assert meter(FIRST, STOP, DONE) == meter(FIRST, STOP, DONE + rest)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"x" * 2**20, id="one line"),
        pytest.param(b"data: " + b"x" * 2**20 + b"\n", id="many lines"),
    ],
)
def test_endless_event(piece: bytes) -> None:
    """An event that does not end within 8 MiB is refused before it fills the memory."""
    meter = CHAT.meter({})
    meter.feed(b"data: " + piece * 7)

    with pytest.raises(BrokenEvent, match="8 MiB"):
        meter.feed(piece * 2)


def test_large_event() -> None:
    """An event of a megabyte is read like any other."""
    image = b"data: " + json.dumps({"model": "a/b", "image": "x" * 2**20}).encode() + b"\n\n"

    assert "a/b" == meter(*cut(image, [0.2, 0.5, 0.9])).model


@given(
    st.lists(
        st.binary(max_size=30) | st.sampled_from([FIRST, STOP, DONE, b"\n\n", b"data: ", b'{"usage":']), max_size=8
    )
)
@settings(quick, max_examples=100)
def test_noise(chunks: list[bytes]) -> None:
    """Whatever bytes arrive, a meter reads them or calls them broken."""
    try:
        reading = meter(*chunks)
    except BrokenEvent:
        return

    assert reading == meter(b"".join(chunks))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b'{"a": 0.1}', {"a": Decimal("0.1")}, id="exact decimal"),
        pytest.param(b'{"a": 0.10000000000000000001}', {"a": Decimal("0.10000000000000000001")}, id="many digits"),
        pytest.param(b'{"a": 3}', {"a": 3}, id="whole number"),
        pytest.param(b'{"a": [NaN, -Infinity]}', {"a": [None, None]}, id="no numbers"),
        pytest.param(b"nope", None, id="no JSON"),
        pytest.param(b"[" * 100_000, None, id="deep"),
    ],
)
def test_parse(data: bytes, value: object) -> None:
    """JSON is read with exact decimals, and what is none is None."""
    assert value == parse(data)


@pytest.mark.parametrize(
    ("said", "has_content"),
    [
        pytest.param({"content": "Hi"}, True, id="text"),
        pytest.param({"content": " "}, True, id="white space"),
        pytest.param({"content": ["part"]}, True, id="parts"),
        pytest.param({"content": None, "reasoning": "Hm"}, True, id="reasoning"),
        pytest.param({"content": "", "reasoning_content": "Hm"}, True, id="reasoning, other name"),
        pytest.param({"tool_calls": [{"index": 0}]}, True, id="tool call"),
        pytest.param({"function_call": {"name": "f"}}, True, id="function call"),
        pytest.param({"refusal": "No."}, True, id="refusal"),
        pytest.param({"images": [{}]}, True, id="image"),
        pytest.param({"audio": {"id": "a"}}, True, id="audio"),
        pytest.param({"role": "assistant", "content": ""}, False, id="role"),
        pytest.param({"content": None, "reasoning": "", "tool_calls": [], "refusal": None}, False, id="empty members"),
        pytest.param({"annotations": [{}]}, False, id="annotations"),
        pytest.param({}, False, id="nothing"),
        pytest.param("text", False, id="no object"),
        pytest.param(None, False, id="null"),
    ],
)
@pytest.mark.parametrize("place", ["delta", "message"])
def test_has_content(place: str, said: object, has_content: bool) -> None:
    """Content is anything a model can say, in a stream or in a plain answer; a role alone is none."""
    event = json.dumps({"choices": [{"index": 0, place: said}]}).encode()

    assert has_content == meter(b"data: " + event + b"\n\n").has_content
    assert has_content == plain(CHAT, event)[1].has_content


def test_content_stays() -> None:
    """Content that has come is not forgotten when nothing more follows."""
    assert meter(FIRST, STOP, usage(cost=1), DONE).has_content
    assert not meter(STOP, usage(cost=1), DONE).has_content


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - {"chat_stream_inband_error"}))
def test_recorded_content(name: str) -> None:
    """Every recorded answer has content, and it does not come with the comments before it."""
    head, _, _ = recorded(name).partition(b"data:")

    assert meter(recorded(name)).has_content
    assert not meter(head).has_content


@pytest.mark.parametrize(
    ("chunks", "progress"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([b": OPENROUTER PROCESSING\n\n"] * 50, 0, id="comments"),
        pytest.param([b"event: ping\n\n", b"id: 5\n\n", b"retry: 9\n\n", b"\n\n"], 0, id="other fields"),
        pytest.param([FIRST[:-1]], 0, id="unfinished event"),
        pytest.param([FIRST[:9], FIRST[9:]], 1, id="event in two pieces"),
        pytest.param([FIRST * 3, b": still there\n\n", FIRST], 4, id="events and comments"),
        pytest.param([FIRST, STOP, DONE], 2, id="to the end"),
        pytest.param([FIRST, STOP, DONE, FIRST], 2, id="beyond the end"),
        pytest.param([FIRST, EMPTY * 5], 1, id="events without content"),
    ],
)
def test_progress(chunks: list[bytes], progress: int) -> None:
    """What says something is progress; comments and empty events, which also come from dead streams, are none."""
    assert progress == meter(*chunks).progress
