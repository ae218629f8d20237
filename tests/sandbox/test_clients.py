from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Literal

import pytest
from openai import OpenAI
from openrouter import OpenRouter
from pydantic import BaseModel

from tests.sandbox.conftest import KEY

pytestmark = pytest.mark.clients

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


class Step(BaseModel):
    explanation: str
    output: float


class Person(BaseModel):
    name: str
    kind: Literal["near", "far"]
    steps: list[Step]
    best: Step | None


@pytest.fixture
def openai(sandbox) -> Iterator[OpenAI]:
    with OpenAI(base_url=sandbox.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def openrouter(sandbox) -> Iterator[OpenRouter]:
    with OpenRouter(api_key=KEY, server_url=sandbox.url) as client:
        yield client


def test_openai_plain_and_stream(openai):
    """
    The OpenAI SDK reads the same text from a plain answer and from a stream.
    """
    plain = openai.chat.completions.create(model="openai/gpt-4o-mini", messages=HELLO)
    chunks = list(openai.chat.completions.create(model="openai/gpt-4o-mini", messages=HELLO, stream=True))

    assert plain.choices[0].message.content == "".join(each.choices[0].delta.content for each in chunks)
    assert plain.usage.total_tokens == chunks[-1].usage.total_tokens


def test_openai_tools(openai):
    """
    The OpenAI SDK assembles a streamed tool call.
    """
    asked = [{"role": "user", "content": "What is the weather in Paris?"}]
    with openai.chat.completions.stream(model="openai/gpt-4o-mini", messages=asked, tools=WEATHER) as stream:
        stream.until_done()
        call = stream.get_final_completion().choices[0].message.tool_calls[0]

    assert ("get_weather", '{"city": "text"}') == (call.function.name, call.function.arguments)


def test_openai_parses_structured_answers(openai):
    """
    The OpenAI SDK's `parse` turns the answer into the model it was asked for.
    """
    reply = openai.chat.completions.parse(model="openai/gpt-4o-mini", messages=HELLO, response_format=Person)

    assert isinstance(reply.choices[0].message.parsed, Person)


def test_openai_images_and_models(openai):
    """
    The OpenAI SDK sends images and lists the models.
    """
    url = "data:image/png;base64," + base64.b64encode(b"picture").decode()
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": url}}]
    reply = openai.chat.completions.create(model="openai/gpt-4o-mini", messages=[{"role": "user", "content": parts}])

    assert "image" in reply.choices[0].message.content
    assert 400 < len(openai.models.list().data)


def test_openrouter_chat(openrouter):
    """
    OpenRouter's own SDK reads the same cost from a plain answer and from a stream.
    """
    plain = openrouter.chat.send(model="openai/gpt-4o-mini", messages=HELLO)
    with openrouter.chat.send(model="openai/gpt-4o-mini", messages=HELLO, stream=True) as stream:
        chunks = list(stream)

    assert plain.usage.cost == chunks[-1].usage.cost


# The SDK warns about its own deprecated fields, which every answer of /key has.
@pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")
def test_openrouter_account(openrouter, sandbox):
    """
    OpenRouter's own SDK reads models, endpoints, credits, key and generation.
    """
    sandbox.account(generation_delay_ms=0)
    made = openrouter.chat.send(model="openai/gpt-4o-mini", messages=HELLO)

    assert 400 < len(openrouter.models.list().result.data)
    assert 1 == len(openrouter.endpoints.list(author="openai", slug="gpt-4o-mini").data.endpoints)
    assert 25 == openrouter.credits.get_credits().data.total_credits
    assert made.usage.cost == openrouter.api_keys.get_current_key_metadata().data.usage
    assert made.usage.cost == openrouter.generations.get_generation(id=made.id).data.total_cost
