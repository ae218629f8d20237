from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from app.sandbox import Sandbox

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
KEY = {"Authorization": "Bearer sk-or-v1-" + "b" * 64}
BODIES: dict[str, dict[str, Any]] = {
    "/messages": {"max_tokens": 60, "messages": [{"role": "user", "content": "Hello"}]},
    "/responses": {"input": "Hello"},
    "/completions": {"prompt": "Hello"},
    "/embeddings": {"input": "Hello"},
}

Ask = Callable[..., requests.Response]


@pytest.fixture
def speak(sandbox: Sandbox) -> Ask:
    """Asks the sandbox in a style."""

    def send(endpoint: str, model: str = "openai/gpt-4o", **body: Any) -> requests.Response:
        whole = {"model": model, **BODIES[endpoint], **body}
        return requests.post(sandbox.url + endpoint, json=whole, headers=KEY, timeout=10)

    return send


def events(stream: bytes) -> list[Any]:
    """The JSON events of a stream."""
    found = [line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(each) for each in found]


def kinds(told: list[Any]) -> list[str]:
    """What kinds of events come, repeats left out."""
    names = [each["type"] for each in told]
    return [name for number, name in enumerate(names) if number == 0 or name != names[number - 1]]


def test_responses_as_recorded(speak: Ask) -> None:
    """A streamed response has the events of the recorded one, numbered, with the recorded members in their order."""
    recorded = events((SAMPLES / "responses_stream_2026-08-04.body.sse").read_bytes())

    spoken = events(speak("/responses", stream=True).content)

    assert kinds(recorded) == kinds(spoken)
    assert list(range(len(spoken))) == [each["sequence_number"] for each in spoken]
    for kind in kinds(recorded):
        old, new = (next(each for each in told if each["type"] == kind) for told in (recorded, spoken))
        assert list(old) == list(new)
        assert list(old.get("response", ())) == list(new.get("response", ()))
    assert list(recorded[-1]["response"]["usage"]) == list(spoken[-1]["response"]["usage"])


def test_embeddings_as_recorded(speak: Ask) -> None:
    """An embedding has the recorded members in their order, and its head names no generation."""
    recorded = json.loads((SAMPLES / "embeddings_2026.body.json.txt").read_bytes())

    reply = speak("/embeddings", "openai/text-embedding-3-small")

    assert list(recorded) == list(reply.json())
    assert list(recorded["usage"]) == list(reply.json()["usage"])
    assert len(recorded["data"][0]["embedding"]) == len(reply.json()["data"][0]["embedding"])
    assert "X-Generation-Id" not in reply.headers


def test_messages_as_documented(speak: Ask) -> None:
    """A streamed message has the documented events in their order, each under its name."""
    stream = speak("/messages", stream=True).content

    assert [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop",
    ] == kinds(events(stream))  # fmt: skip
    named = [part.split(b"\n")[0] for part in stream.split(b"\n\n") if part.startswith(b"event: ")]
    assert [f"event: {each['type']}".encode() for each in events(stream)] == named


@pytest.mark.parametrize("endpoint", ["/messages", "/responses", "/completions"])
def test_one_bill(speak: Ask, sandbox: Sandbox, endpoint: str) -> None:
    """Plain or streamed, an answer costs what it says, and stands on the bill under its style."""
    for stream in (False, True):
        answer = speak(endpoint, stream=stream).content
        row = sandbox.bill()["generations"][-1]

        assert f'"cost":{row["cost"]},'.encode() in answer
        assert endpoint.strip("/") == row["api_type"]


@pytest.mark.parametrize(
    ("endpoint", "model", "status"),
    [
        ("/messages", "no/such", 400),
        ("/messages", "sandbox/status-429", 429),
        ("/messages", "sandbox/status-529", 529),
        ("/responses", "sandbox/status-503", 503),
        ("/embeddings", "openai/gpt-4o", 400),
        ("/responses", "openai/text-embedding-3-small", 400),
    ],
)
def test_refusals(speak: Ask, endpoint: str, model: str, status: int) -> None:
    """Refusals have the style's envelope; a model of another style is refused by the documented name."""
    reply = speak(endpoint, model)

    told = reply.json()
    assert status == reply.status_code
    if endpoint == "/messages":
        assert ("error", True) == (told["type"], "type" in told["error"])
    elif status == 400:
        assert "wrong_endpoint" == told["error"]["availability"]["code"]
    else:
        assert "provider_overloaded" == told["error_type"]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/messages", {"messages": []}),
        ("/messages", {"model": None}),
        ("/messages", {"fallbacks": [{"model": "a/b"}], "models": ["c/d"]}),
        ("/messages", {"fallbacks": [{"model": "a/b"}] * 4}),
        ("/responses", {"input": []}),
        ("/completions", {"prompt": ["a", "b"]}),
        ("/embeddings", {"input": []}),
        ("/embeddings", {"dimensions": 0}),
    ],
)
def test_bad_requests(speak: Ask, endpoint: str, body: dict[str, Any]) -> None:
    """What OpenRouter refuses, the sandbox refuses."""
    assert 400 == speak(endpoint, **body).status_code


@pytest.mark.parametrize(
    ("endpoint", "name", "cost"),
    [
        ("/responses", "responses_stream", "0.0000825"),
        ("/responses", "responses_reasoning", "0.0000113"),
        ("/embeddings", "embeddings", "0.00000014"),
    ],
)
def test_recorded(speak: Ask, sandbox: Sandbox, endpoint: str, name: str, cost: str) -> None:
    """Recorded answers of these styles are played back, and charged as they were."""
    stream = {} if name == "embeddings" else {"stream": True}

    assert 200 == speak(endpoint, f"sandbox/recorded-{name}", **stream).status_code
    assert cost == sandbox.bill()["generations"][-1]["cost"]
