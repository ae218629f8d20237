from __future__ import annotations

import base64
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.sandbox.sse import content, events

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def test_plain_answer_is_as_recorded(ask):
    """
    A plain answer starts with padding and has the fields of the recording, in its order.
    """
    recorded = json.loads((SAMPLES / "chat_nonstream_2026-06-08.body.json.txt").read_bytes())

    reply = ask("anthropic/claude-haiku-4.5")

    assert reply.content.startswith(b"\n         \n\n         \n{")
    assert list(recorded) == list(reply.json())
    assert list(recorded["usage"]) == list(reply.json()["usage"])
    assert "anthropic/claude-4.5-haiku-20251001" == reply.json()["model"]
    assert reply.json()["id"] == reply.headers["X-Generation-Id"]


def test_stream_is_as_recorded(ask):
    """
    A stream has comments, words, the finish reason, a usage chunk with one empty choice, and the end mark.
    """
    reply = ask("anthropic/claude-haiku-4.5", stream=True)
    told = events(reply.content)

    assert reply.content.startswith(b": OPENROUTER PROCESSING\n\n")
    assert reply.content.endswith(b"data: [DONE]\n\n")
    assert "text/event-stream" == reply.headers["Content-Type"]
    assert "stop" == told[-2]["choices"][0]["finish_reason"]
    assert {"content": "", "role": "assistant"} == told[-1]["choices"][0]["delta"]
    assert "end_turn" == told[-1]["choices"][0]["native_finish_reason"]
    assert [None] * (len(told) - 1) == [each.get("usage") for each in told[:-1]]


def test_plain_and_stream_agree(ask):
    """
    The same prompt gets the same text and costs the same, plain or streamed.
    """
    plain, streamed = ask(), ask(stream=True)

    assert plain.json()["choices"][0]["message"]["content"] == content(streamed.content)
    assert plain.json()["usage"] == events(streamed.content)[-1]["usage"]


def test_cost_is_exact_and_charged_once(ask, sandbox, session):
    """
    The cost on the wire is tokens times price without a rounding error, and leaves the account once.
    """
    usage = json.loads(ask("anthropic/claude-haiku-4.5").content, parse_float=Decimal)["usage"]
    due = usage["prompt_tokens"] * Decimal("0.000001") + usage["completion_tokens"] * Decimal("0.000005")
    credits = json.loads(session.get(f"{sandbox.url}/credits").content, parse_float=Decimal)["data"]

    assert due == usage["cost"]
    assert due == Decimal(sandbox.bill()["total_cost"])
    assert Decimal("7.42") + due == credits["total_usage"]


def test_free_models_cost_nothing(ask, sandbox):
    """
    A `:free` model answers under its canonical name and costs 0.
    """
    free = next(each["id"] for each in sandbox.backend.catalogue.entries if each["id"].endswith(":free"))
    reply = ask(free)

    assert 0 == reply.json()["usage"]["cost"]
    assert reply.json()["model"].endswith(":free")


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        (None, "openai/gpt-4o-mini"),
        ("@preset/mine", "openai/gpt-4o-mini"),
        ("anthropic/claude-haiku-4.5:nitro", "anthropic/claude-4.5-haiku-20251001"),
        ("anthropic/claude-4.5-haiku-20251001", "anthropic/claude-4.5-haiku-20251001"),
    ],
)
def test_names_lead_to_models(ask, asked, served):
    """
    Presets, variants, canonical slugs and the absence of a model lead to a real one.
    """
    assert served == ask(asked).json()["model"]


@pytest.mark.parametrize("router", ["openrouter/auto", "openrouter/free", "~anthropic/claude-opus-latest"])
def test_routers_name_their_choice(ask, router):
    """
    Routers and aliases answer as a real model, the same for the same prompt.
    """
    first, second = ask(router).json()["model"], ask(router).json()["model"]

    assert first == second
    assert not first.startswith(("openrouter/", "~"))


def test_max_tokens_ends_the_answer(ask):
    """
    An answer is cut at max_tokens, says so, and is charged for no more.
    """
    body = ask(max_tokens=5).json()

    assert "length" == body["choices"][0]["finish_reason"]
    assert 5 == body["usage"]["completion_tokens"]


def test_stop_ends_the_text(ask):
    """
    Text ends before a stop sequence.
    """
    assert "You wrote" not in ask(stop=["You wrote"]).json()["choices"][0]["message"]["content"]


def test_images_are_seen(ask):
    """
    An image counts as tokens and is mentioned.
    """
    url = "data:image/png;base64," + base64.b64encode(b"x" * 999).decode()
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = ask(messages=[{"role": "user", "content": parts}]).json()

    assert "1 image" in body["choices"][0]["message"]["content"]
    assert 258 < body["usage"]["prompt_tokens"] < 300


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "getWeather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
                "required": ["city", "days"],
            },
        },
    }
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_named_tool_is_called(ask, stream):
    """
    A prompt that names a tool gets a call whose arguments fit the tool's schema.
    """
    reply = ask(text="What is the weather in Rome?", tools=TOOLS, stream=stream)
    if stream:
        told = events(reply.content)
        calls = [call for each in told for call in each["choices"][0]["delta"].get("tool_calls", [])]
        arguments = "".join(call["function"]["arguments"] for call in calls)
        finish = told[-1]["choices"][0]["finish_reason"]
    else:
        choice = reply.json()["choices"][0]
        arguments, finish = choice["message"]["tool_calls"][0]["function"]["arguments"], choice["finish_reason"]

    assert {"city": "text", "days": 2} == json.loads(arguments)
    assert "tool_calls" == finish


def test_tools_are_left_alone_or_forced(ask):
    """
    Without a hint there is no call, with tool_choice required there is one, and a tool's result is used.
    """
    plain = ask(text="Good morning", tools=TOOLS).json()
    forced = ask(text="Good morning", tools=TOOLS, tool_choice="required").json()
    used = ask(
        tools=TOOLS,
        messages=[
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "tool_call_id": "1", "content": "sunny, 21 degrees"},
        ],
    ).json()

    assert "stop" == plain["choices"][0]["finish_reason"]
    assert "tool_calls" == forced["choices"][0]["finish_reason"]
    assert "sunny, 21 degrees" in used["choices"][0]["message"]["content"]


def test_reasoning_comes_first(ask):
    """
    Thinking is streamed before the text, counted, and left out on request.
    """
    told = events(ask(stream=True, reasoning={"effort": "low"}).content)
    hidden = ask(reasoning={"effort": "low", "exclude": True}).json()

    assert "reasoning" in told[0]["choices"][0]["delta"]
    assert 0 < told[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert hidden["choices"][0]["message"]["reasoning"] is None
    assert 0 < hidden["usage"]["completion_tokens_details"]["reasoning_tokens"]


def test_a_request_can_shape_its_own_answer(ask):
    """
    The `sandbox` field sets text, events, status, body and headers of one answer.
    """
    refused = ask("openai/gpt-4o-mini", sandbox={"status": 418, "body": {"tea": True}, "headers": {"X-Pot": "1"}})

    assert "Right." == ask("openai/gpt-4o-mini", sandbox={"text": "Right."}).json()["choices"][0]["message"]["content"]
    assert 7 + 2 == len(events(ask("openai/gpt-4o-mini", stream=True, sandbox={"events": 7}).content))
    assert (418, {"tea": True}, "1") == (refused.status_code, refused.json(), refused.headers["X-Pot"])
