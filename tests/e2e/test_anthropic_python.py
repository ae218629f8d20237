from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from app.sandbox import Sandbox
from tests.gateway import Gateway

pytestmark = pytest.mark.clients

MODEL = "claude-sonnet-5"
HELLO: list[Any] = [{"role": "user", "content": "Hello, who are you?"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(params=["", "/api"], ids=["root", "api"])
def client(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Anthropic]:
    """The SDK with the gateway's address where Anthropic's stood."""
    address = gateway.base_url + request.param
    with Anthropic(base_url=address, api_key=gateway.token(), max_retries=0) as client:
        yield client


def test_plain(client: Anthropic, sandbox: Sandbox) -> None:
    """A message is answered, by the model that its short id means, and is on the bill."""
    message = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)

    (bill,) = sandbox.bill()["generations"]
    assert "Claude Sonnet 5" in message.content[0].text  # type: ignore[union-attr]
    assert ("end_turn", bill["completion_tokens"]) == (message.stop_reason, message.usage.output_tokens)


def test_stream(client: Anthropic) -> None:
    """A streamed message is put together to the same as a plain one."""
    plain = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        whole = stream.get_final_message()

    assert plain.content[0].text == text == whole.content[0].text  # type: ignore[union-attr]
    assert plain.usage.output_tokens == whole.usage.output_tokens
    assert "end_turn" == whole.stop_reason


def test_tools(client: Anthropic) -> None:
    """A tool is called, and its result answered."""
    asked: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client.messages.stream(model=MODEL, max_tokens=200, messages=asked, tools=[WEATHER]) as stream:
        called = stream.get_final_message()
    use = called.content[-1]
    assert ("tool_use", "get_weather") == (called.stop_reason, getattr(use, "name", None))
    result = {"type": "tool_result", "tool_use_id": getattr(use, "id", None), "content": "It rains."}
    talk = [*asked, {"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]

    answer = client.messages.create(model=MODEL, max_tokens=200, messages=talk, tools=[WEATHER])

    assert "It rains." in answer.content[0].text  # type: ignore[union-attr]


def test_thinking(client: Anthropic) -> None:
    """Thinking comes as a block of its own."""
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=MODEL, max_tokens=2000, messages=HELLO, thinking=thinking) as stream:
        whole = stream.get_final_message()

    assert ["thinking", "text"] == [block.type for block in whole.content]


def test_count_tokens(client: Anthropic) -> None:
    """Tokens are counted, more for more."""
    short = client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens
    long = client.messages.count_tokens(model=MODEL, messages=HELLO, system="Be brief. " * 20).input_tokens

    assert 0 < short < long


def test_models(client: Anthropic) -> None:
    """The SDK pages through all models."""
    names = [model.id for model in client.models.list(limit=100)]

    assert len(set(names)) == len(names) > 300
    assert "anthropic/claude-sonnet-4.5" in names


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("sandbox/status-400", anthropic.BadRequestError),
        ("sandbox/status-429", anthropic.RateLimitError),
        ("sandbox/status-503", anthropic.InternalServerError),
        ("sandbox/404-no-endpoints", anthropic.NotFoundError),
        ("no/such-model", anthropic.BadRequestError),
    ],
)
def test_errors(client: Anthropic, model: str, kind: type[Exception]) -> None:
    """Refusals are the SDK's own exceptions, with words."""
    with pytest.raises(kind) as caught:
        client.messages.create(model=model, max_tokens=10, messages=HELLO)

    assert "error" in str(caught.value)


@pytest.mark.parametrize("fault", ["cut-2", "cut-clean-2", "error-mid-2", "garbage-stream-2", "no-done"])
def test_broken_stream(client: Anthropic, fault: str) -> None:
    """A stream that breaks is an exception, never a message."""
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=f"sandbox/{fault}", max_tokens=100, messages=HELLO) as stream,
    ):
        stream.get_final_message()


def test_bad_token(gateway: Gateway) -> None:
    """A token that does not count is an authentication error."""
    with (
        Anthropic(base_url=gateway.base_url, api_key="nonsense", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model=MODEL, max_tokens=10, messages=HELLO)
