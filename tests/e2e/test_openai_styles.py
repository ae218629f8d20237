from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from app.sandbox import Sandbox
from tests.e2e.addresses import MOUNTS
from tests.gateway import Gateway

pytestmark = pytest.mark.clients

MODEL = "openai/gpt-4o-mini"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


class Person(BaseModel):
    """A structured answer."""

    name: str
    age: int


@pytest.fixture(params=MOUNTS)
def client(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """The SDK at one of the gateway's addresses."""
    with OpenAI(base_url=gateway.base_url + request.param, api_key=gateway.token(), max_retries=0) as client:
        yield client


def test_response(client: OpenAI, sandbox: Sandbox) -> None:
    """A response is answered, and on the bill."""
    response = client.responses.create(model=MODEL, input="Hello, who are you?")

    (bill,) = sandbox.bill()["generations"]
    assert "GPT-4o-mini" in response.output_text
    assert response.usage is not None
    assert ("completed", bill["completion_tokens"]) == (response.status, response.usage.output_tokens)


def test_response_stream(client: OpenAI) -> None:
    """A streamed response is put together to the same as a plain one."""
    plain = client.responses.create(model=MODEL, input="Hello, who are you?")
    with client.responses.stream(model=MODEL, input="Hello, who are you?") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        whole = stream.get_final_response()

    assert plain.output_text == text == whole.output_text
    assert plain.usage == whole.usage


def test_response_tools(client: OpenAI) -> None:
    """A function is called, and its output answered."""
    asked = "What is the weather in Paris?"
    with client.responses.stream(model=MODEL, input=asked, tools=[WEATHER]) as stream:
        called = stream.get_final_response().output[-1]
    assert "function_call" == called.type
    assert "get_weather" == getattr(called, "name", None)
    talk: Any = [
        {"role": "user", "content": asked},
        {"type": "function_call", "call_id": called.call_id, "name": called.name, "arguments": called.arguments},
        {"type": "function_call_output", "call_id": called.call_id, "output": "It rains."},
    ]

    answer = client.responses.create(model=MODEL, input=talk, tools=[WEATHER])

    assert "It rains." in answer.output_text


def test_response_parsed(client: OpenAI) -> None:
    """A structured response has the structure that was asked for."""
    response = client.responses.parse(model=MODEL, input="Somebody", text_format=Person)

    assert isinstance(response.output_parsed, Person)


def test_response_incomplete(client: OpenAI) -> None:
    """A response that reached its limit is incomplete, and whole as far as it goes."""
    with client.responses.stream(model=MODEL, input="Tell me a story", max_output_tokens=16) as stream:
        events = list(stream)

    assert "response.incomplete" == events[-1].type


@pytest.mark.parametrize("fault", ["cut-2", "cut-clean-2", "garbage-stream-2"])
def test_broken_response(client: OpenAI, fault: str) -> None:
    """A stream that breaks is an exception, also for who only collects its text."""
    with pytest.raises(openai.APIError):
        list(client.responses.create(model=f"sandbox/{fault}", input="Hello", stream=True))


@pytest.mark.parametrize(
    ("model", "kind"),
    [("sandbox/status-429", openai.RateLimitError), ("no/such", openai.BadRequestError)],
)
def test_errors(client: OpenAI, model: str, kind: type[Exception]) -> None:
    """Refusals are the SDK's own exceptions."""
    with pytest.raises(kind):
        client.responses.create(model=model, input="Hello")


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(client: OpenAI, sandbox: Sandbox, encoding: str | None) -> None:
    """Vectors come in every encoding, one for each input, and are on the bill."""
    given: dict[str, Any] = {} if encoding is None else {"encoding_format": encoding}

    made = client.embeddings.create(
        model="openai/text-embedding-3-small", input=["one", "two"], dimensions=256, **given
    )

    assert [0, 1] == [each.index for each in made.data]
    if encoding != "base64":
        assert {256} == {len(each.embedding) for each in made.data}
    assert made.usage.prompt_tokens == sandbox.bill()["generations"][0]["prompt_tokens"]


def test_completion(client: OpenAI) -> None:
    """A prompt is continued, the same in one piece and in many."""
    plain = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=50)
    chunks = list(client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=50, stream=True))

    assert plain.choices[0].text == "".join(each.choices[0].text for each in chunks)
    assert plain.choices[0].text


def test_broken_completion(client: OpenAI) -> None:
    """A completion that breaks is an exception."""
    with pytest.raises(openai.APIError):
        list(client.completions.create(model="sandbox/cut-2", prompt="Hello", stream=True))
