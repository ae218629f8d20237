from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from app.sandbox import Sandbox
from tests.e2e.addresses import likeness
from tests.gateway import KEY, Gateway

pytestmark = pytest.mark.clients

MODEL = "openai/gpt-4o-mini"
HELLO = [{"role": "user", "content": "Hello, who are you?"}]
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FAST = {"sandbox": {"interval_ms": 1}}
"""A field of the sandbox's own that no client library knows: the gateway passes it on."""

PICTURE = "data:image/png;base64," + base64.b64encode(b"a picture").decode()


class Step(BaseModel):
    """A part of a structured answer."""

    explanation: str
    output: float


class Person(BaseModel):
    """A structured answer with everything a schema can hold."""

    name: str
    kind: Literal["near", "far"]
    steps: list[Step]
    best: Step | None


@pytest.fixture(scope="module")
def direct(shared_sandbox: Sandbox) -> Iterator[OpenAI]:
    """The SDK without a gateway."""
    with OpenAI(base_url=shared_sandbox.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def through(gateway: Gateway, mount: str) -> Iterator[OpenAI]:
    """The SDK at one of the gateway's addresses."""
    with OpenAI(base_url=gateway.base_url + mount, api_key=gateway.token(), max_retries=0) as client:
        yield client


def chats(sandbox: Sandbox) -> int:
    """How many chats OpenRouter has been sent."""
    return sum(row["method"] == "POST" for row in sandbox.log())


def pieces(client: OpenAI, **body: Any) -> list[Any]:
    """All chunks of a streamed answer."""
    return likeness(list(client.chat.completions.create(stream=True, **body)))


def test_plain(through: OpenAI, direct: OpenAI) -> None:
    """A plain answer is the same object as without the gateway."""
    expected = direct.chat.completions.create(model=MODEL, messages=HELLO, extra_body=FAST)
    actual = through.chat.completions.create(model=MODEL, messages=HELLO, extra_body=FAST)

    assert actual.choices[0].message.content
    assert likeness(expected) == likeness(actual)


def test_stream(through: OpenAI, direct: OpenAI) -> None:
    """A streamed answer comes in the same chunks as without the gateway."""
    expected = pieces(direct, model=MODEL, messages=HELLO, extra_body=FAST)
    actual = pieces(through, model=MODEL, messages=HELLO, extra_body=FAST)

    assert len(actual) > 10
    assert expected == actual


def test_async(gateway: Gateway, sandbox: Sandbox, mount: str) -> None:
    """The asynchronous client reads the same plain and streamed answers as without the gateway."""

    async def ask(base_url: str, key: str) -> tuple[Any, Any]:
        async with AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            create = client.chat.completions.create
            plain = await create(model=MODEL, messages=HELLO, extra_body=FAST)
            chunks = [chunk async for chunk in await create(model=MODEL, messages=HELLO, stream=True, extra_body=FAST)]
        return likeness(plain), likeness(chunks)

    expected = asyncio.run(ask(sandbox.url, KEY))
    actual = asyncio.run(ask(gateway.base_url + mount, gateway.token()))

    assert expected == actual


def test_tools(through: OpenAI, direct: OpenAI) -> None:
    """A tool call and the round with its result are the same as without the gateway."""

    def round_trip(client: OpenAI) -> tuple[Any, Any]:
        called = client.chat.completions.create(model=MODEL, messages=ASKED, tools=[WEATHER], extra_body=FAST)
        message = called.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "18 degrees and sunny"}
        told = client.chat.completions.create(
            model=MODEL, messages=[*ASKED, message, result], tools=[WEATHER], extra_body=FAST
        )
        return likeness(called), likeness(told)

    expected = round_trip(direct)
    actual = round_trip(through)

    assert "tool_calls" == actual[0]["choices"][0]["finish_reason"]
    assert "18 degrees and sunny" in actual[1]["choices"][0]["message"]["content"]
    assert expected == actual


def test_streamed_tools(through: OpenAI, direct: OpenAI) -> None:
    """The SDK puts a streamed tool call together as without the gateway."""

    def called(client: OpenAI) -> Any:
        with client.chat.completions.stream(model=MODEL, messages=ASKED, tools=[WEATHER], extra_body=FAST) as stream:
            return likeness(stream.get_final_completion())

    actual = called(through)

    assert "get_weather" == actual["choices"][0]["message"]["tool_calls"][0]["function"]["name"]
    assert called(direct) == actual


def test_parsed_schema(through: OpenAI, direct: OpenAI) -> None:
    """`parse` turns the answer into the pydantic object that it gives without the gateway."""
    expected = direct.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Person, extra_body=FAST)
    actual = through.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Person, extra_body=FAST)

    assert isinstance(actual.choices[0].message.parsed, Person)
    assert expected.choices[0].message.parsed == actual.choices[0].message.parsed


def test_raw_schema(through: OpenAI, direct: OpenAI) -> None:
    """A response_format written by hand is answered as without the gateway."""
    schema = {"name": "person", "strict": True, "schema": Person.model_json_schema()}
    wish = {"type": "json_schema", "json_schema": schema}
    expected = direct.chat.completions.create(model=MODEL, messages=HELLO, response_format=wish, extra_body=FAST)
    actual = through.chat.completions.create(model=MODEL, messages=HELLO, response_format=wish, extra_body=FAST)

    assert Person.model_validate_json(actual.choices[0].message.content)
    assert likeness(expected) == likeness(actual)


def test_images(through: OpenAI, direct: OpenAI) -> None:
    """Images in the content reach the model."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    messages = [{"role": "user", "content": parts}]
    expected = direct.chat.completions.create(model=MODEL, messages=messages, extra_body=FAST)
    actual = through.chat.completions.create(model=MODEL, messages=messages, extra_body=FAST)

    assert "1 image" in actual.choices[0].message.content
    assert likeness(expected) == likeness(actual)


def test_models(through: OpenAI, direct: OpenAI) -> None:
    """The models are listed as without the gateway, to the last field."""
    expected = [model.model_dump() for model in direct.models.list()]
    actual = [model.model_dump() for model in through.models.list()]

    assert len(actual) > 60
    assert expected == actual


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("nobody/nothing", openai.BadRequestError, 400),
        ("sandbox/400-context-length", openai.BadRequestError, 400),
        ("sandbox/402-afford", openai.APIStatusError, 402),
        ("sandbox/403-guardrail", openai.PermissionDeniedError, 403),
        ("sandbox/404-no-endpoints", openai.NotFoundError, 404),
        ("sandbox/429-upstream", openai.RateLimitError, 429),
    ],
)
def test_refusals(through: OpenAI, direct: OpenAI, model: str, kind: type[openai.APIStatusError], status: int) -> None:
    """What OpenRouter refuses raises the SDK's own error with OpenRouter's message and metadata."""
    with pytest.raises(kind) as expected:
        direct.chat.completions.create(model=model, messages=HELLO, extra_body=FAST)
    with pytest.raises(kind) as actual:
        through.chat.completions.create(model=model, messages=HELLO, extra_body=FAST)

    told, body = expected.value.body, actual.value.body
    assert status == actual.value.status_code
    assert told["message"] == body["message"]
    assert told.get("availability") == body.get("availability")
    assert (told.get("metadata") or {}).items() <= (body.get("metadata") or {}).items()
    assert "user_id" not in actual.value.response.text


def test_bad_token(gateway: Gateway, sandbox: Sandbox, mount: str) -> None:
    """A wrong token raises the SDK's AuthenticationError and reaches nobody."""
    with (
        OpenAI(base_url=gateway.base_url + mount, api_key="sk-made-up") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=HELLO, extra_body=FAST)

    assert "authentication_error" == caught.value.body["type"]
    assert 0 == chats(sandbox)


def test_quota(gateway: Gateway, sandbox: Sandbox, mount: str) -> None:
    """A call beyond the quota raises the SDK's RateLimitError, which says when to come back."""
    token = gateway.token("busy", quotas={"chat": "2 per minute"})
    with OpenAI(base_url=gateway.base_url + mount, api_key=token, max_retries=0) as client:
        for _ in range(2):
            client.chat.completions.create(model="sandbox/ok", messages=HELLO, extra_body=FAST)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="sandbox/ok", messages=HELLO, extra_body=FAST)

    headers = caught.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 60
    assert ("2", "0") == (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"])
    assert 2 == chats(sandbox)


@pytest.mark.parametrize(
    "model",
    [
        "sandbox/error-mid-3",
        "sandbox/error-mid-recorded-3",
        "sandbox/cut-3",
        "sandbox/cut-clean-3",
        "sandbox/reset-mid-3",
        "sandbox/garbage-stream-3",
    ],
)
def test_broken_stream(through: OpenAI, model: str) -> None:
    """A stream that breaks off raises APIError after what came, and never tells a finish reason of a whole answer."""
    chunks: list[Any] = []
    stream = through.chat.completions.create(model=model, messages=HELLO, stream=True)
    with closing(stream), pytest.raises(openai.APIError):
        chunks.extend(stream)

    choices = [chunk.choices[0] for chunk in chunks]
    assert 3 == len([choice for choice in choices if choice.delta.content])
    assert {None} == {choice.finish_reason for choice in choices}


@pytest.mark.parametrize(
    ("model", "sends"),
    [
        ("sandbox/429-retry-after-1", 3),
        ("sandbox/402-in-flight-1", 3),
        ("sandbox/status-503", 3),
        ("sandbox/429-free-daily", 1),
        ("sandbox/status-408", 2),
        ("sandbox/status-409", 1),
        ("sandbox/status-500", 2),
        ("sandbox/error-in-200", 2),
        ("sandbox/502-html", 1),
        ("sandbox/reset", 1),
    ],
)
def test_should_retry(gateway: Gateway, sandbox: Sandbox, model: str, sends: int) -> None:
    """What cannot have been billed is repeated by the gateway, and by nobody else: the SDK is told not to."""
    with (
        OpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.token(), max_retries=1) as client,
        pytest.raises(openai.APIStatusError),
    ):
        client.chat.completions.create(model=model, messages=HELLO, extra_body=FAST)

    assert sends == chats(sandbox)


def test_many_at_once(gateway: Gateway) -> None:
    """Streams that run side by side over one client do not mix."""
    with ExitStack() as stack:
        client = stack.enter_context(OpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.token()))
        asked = [[{"role": "user", "content": f"Question {number}"}] for number in range(8)]
        streams = [
            stack.enter_context(
                closing(client.chat.completions.create(model="sandbox/echo", messages=one, stream=True))
            )
            for one in asked
        ]
        said = ["".join(chunk.choices[0].delta.content or "" for chunk in stream) for stream in streams]

    assert [one[0]["content"] for one in asked] == said
