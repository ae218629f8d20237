from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openrouter import OpenRouter, errors

from app.sandbox import Sandbox
from tests.e2e.addresses import likeness
from tests.gateway import KEY, Gateway

pytestmark = pytest.mark.clients

MODEL = "openai/gpt-4o-mini"
HELLO = [{"role": "user", "content": "Hello, who are you?"}]


@pytest.fixture(scope="module")
def direct(shared_sandbox: Sandbox) -> Iterator[OpenRouter]:
    """The SDK without a gateway."""
    with OpenRouter(api_key=KEY, server_url=shared_sandbox.url, retry_config=None) as client:
        yield client


@pytest.fixture
def through(gateway: Gateway) -> Iterator[OpenRouter]:
    """The SDK at the gateway's address for programs written for openrouter.ai."""
    with OpenRouter(api_key=gateway.token(), server_url=f"{gateway.base_url}/api/v1", retry_config=None) as client:
        yield client


def chunks_of(client: OpenRouter, model: str) -> list[Any]:
    """All chunks of a streamed answer."""
    with client.chat.send(model=model, messages=HELLO, stream=True) as stream:
        return list(stream)


def test_plain(through: OpenRouter, direct: OpenRouter) -> None:
    """A plain answer is the same object as without the gateway."""
    expected = direct.chat.send(model=MODEL, messages=HELLO)
    actual = through.chat.send(model=MODEL, messages=HELLO)

    assert actual.choices[0].message.content
    assert likeness(expected) == likeness(actual)


def test_stream(through: OpenRouter, direct: OpenRouter) -> None:
    """A streamed answer comes in the same chunks as without the gateway."""
    expected = likeness(chunks_of(direct, MODEL))
    actual = likeness(chunks_of(through, MODEL))

    assert len(actual) > 10
    assert expected == actual


def test_models(through: OpenRouter, direct: OpenRouter) -> None:
    """The models are listed as without the gateway, to the last field."""
    expected = direct.models.list().result.model_dump()
    actual = through.models.list().result.model_dump()

    assert len(actual["data"]) > 60
    assert expected == actual


def test_credits(through: OpenRouter, direct: OpenRouter) -> None:
    """The balance is the same object as without the gateway."""
    expected = direct.credits.get_credits()
    actual = through.credits.get_credits()

    assert 25 == actual.data.total_credits
    assert expected.model_dump() == actual.model_dump()


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("nobody/nothing", errors.BadRequestResponseError, 400),
        ("sandbox/400-context-length", errors.BadRequestResponseError, 400),
        ("sandbox/402-afford", errors.PaymentRequiredResponseError, 402),
        ("sandbox/403-guardrail", errors.ForbiddenResponseError, 403),
        ("sandbox/404-no-endpoints", errors.NotFoundResponseError, 404),
        ("sandbox/status-408", errors.RequestTimeoutResponseError, 408),
        ("sandbox/429-upstream", errors.TooManyRequestsResponseError, 429),
        ("sandbox/429-free-daily", errors.TooManyRequestsResponseError, 429),
        ("sandbox/status-401", errors.UnauthorizedResponseError, 401),
        ("sandbox/status-500", errors.BadGatewayResponseError, 502),
        ("sandbox/status-503", errors.ServiceUnavailableResponseError, 503),
        ("sandbox/garbage", errors.BadGatewayResponseError, 502),
        ("sandbox/no-such-fault", errors.BadRequestResponseError, 400),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_refusals(through: OpenRouter, model: str, kind: type[Exception], status: int, stream: bool) -> None:
    """Every refusal raises the SDK's own class for its status, since the code in it is that status."""
    with pytest.raises(kind) as caught:
        through.chat.send(model=model, messages=HELLO, stream=stream)

    error = caught.value.data.error
    assert (status, status) == (caught.value.status_code, error.code)
    assert error.message


def test_bad_token(gateway: Gateway) -> None:
    """A wrong token raises the SDK's error for 401 on every route it knows."""
    with OpenRouter(api_key="sk-or-made-up", server_url=f"{gateway.base_url}/api/v1") as client:
        for ask in (
            lambda: client.chat.send(model=MODEL, messages=HELLO),
            client.credits.get_credits,
        ):
            with pytest.raises(errors.UnauthorizedResponseError) as caught:
                ask()

            assert 401 == caught.value.data.error.code


def test_quota(gateway: Gateway) -> None:
    """A call beyond the quota raises the SDK's error for 429."""
    token = gateway.token("busy", quotas={"chat": "1 per minute"})
    with OpenRouter(api_key=token, server_url=f"{gateway.base_url}/api/v1") as client:
        client.chat.send(model="sandbox/ok", messages=HELLO)
        with pytest.raises(errors.TooManyRequestsResponseError) as caught:
            client.chat.send(model="sandbox/ok", messages=HELLO)

    assert "quota_exceeded" == caught.value.data.error.metadata["error_type"]


@pytest.mark.parametrize("model", ["sandbox/error-mid-3", "sandbox/cut-3", "sandbox/garbage-stream-3"])
def test_broken_stream(through: OpenRouter, model: str) -> None:
    """A stream that breaks off ends with a chunk that the SDK reads as an error, never as a finished answer."""
    *content, last = chunks_of(through, model)

    assert 3 == len([chunk for chunk in content if chunk.choices[0].delta.content])
    assert {None} == {chunk.choices[0].finish_reason for chunk in content}
    assert 400 <= last.error.code
    assert "error" == last.choices[0].finish_reason


def test_chosen_models(make_gateway: Callable[..., Gateway]) -> None:
    """The list of models that the owner allows is one that the SDK reads."""
    gateway = make_gateway(openrouter_background_refresh="false", openrouter_models="openai/gpt-4o,mistralai/*")
    with OpenRouter(api_key=gateway.token(), server_url=f"{gateway.base_url}/api/v1", retry_config=None) as client:
        listed = client.models.list().result

    assert "openai/gpt-4o" in {model.id for model in listed.data}
    assert len(listed.data) == listed.total_count


def test_response(through: OpenRouter, direct: OpenRouter) -> None:
    """A response is the same object as without the gateway, plain and streamed."""
    plain = [client.responses.send(model=MODEL, input="Hello, who are you?") for client in (direct, through)]
    streamed = []
    for client in (direct, through):
        with client.responses.send(model=MODEL, input="Hello, who are you?", stream=True) as stream:
            streamed.append([event.type for event in stream])

    assert plain[0].output[0].content == plain[1].output[0].content
    assert plain[0].usage == plain[1].usage
    assert streamed[0] == streamed[1]
    assert "response.completed" == streamed[1][-1]


def test_embeddings(through: OpenRouter, direct: OpenRouter) -> None:
    """Vectors are the same as without the gateway."""
    given = {"model": "openai/text-embedding-3-small", "input": ["one", "two"], "dimensions": 8}

    assert likeness(direct.embeddings.generate(**given)) == likeness(through.embeddings.generate(**given))


@pytest.mark.filterwarnings("ignore:.*DEPRECATED")
def test_lookups(through: OpenRouter, sandbox: Sandbox) -> None:
    """Key, generations and endpoints are read by OpenRouter's own types."""
    sandbox.account(generation_delay_ms=0)
    name = through.responses.send(model=MODEL, input="Hello").id

    assert name == through.generations.get_generation(id=name).data.id
    assert through.api_keys.get_current_key_metadata().data.usage > 0
    assert MODEL == through.endpoints.list(author="openai", slug="gpt-4o-mini").data.id


@pytest.mark.parametrize("fault", ["cut-2", "error-mid-2"])
def test_broken_response(through: OpenRouter, fault: str) -> None:
    """A response that breaks ends with the event of a failure, and has no end of a whole one."""
    with through.responses.send(model=f"sandbox/{fault}", input="Hello", stream=True) as stream:
        kinds = [event.type for event in stream]

    assert "response.failed" == kinds[-1]
    assert "response.completed" not in kinds
