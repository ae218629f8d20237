"""Real client libraries that ask for the cache of answers, on the gateway and the sandbox's bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI

from app.sandbox import Sandbox
from tests.gateway import Gateway

pytestmark = pytest.mark.clients

MODEL = "openai/gpt-4o-mini"
HELLO: Any = [{"role": "user", "content": "Hello, who are you?"}]
HOUR = {"X-Orgate-Cache": "3600"}


def _spent(gateway: Gateway) -> Decimal:
    gateway.services.ledger.flush()
    return Decimal(gateway.get("/usage?by=app").json()["total_cost"])


def test_openai(gateway: Gateway, sandbox: Sandbox) -> None:
    """OpenAI's SDK, told once to ask for the cache, pays once for each call that it repeats, and reads the same."""
    with OpenAI(
        base_url=f"{gateway.base_url}/v1", api_key=gateway.token("tests"), max_retries=0, default_headers=HOUR
    ) as client:

        def asked() -> list[Any]:
            chat = client.chat.completions.create(model=MODEL, messages=HELLO)
            with client.chat.completions.create(model=MODEL, messages=HELLO, stream=True) as stream:
                chunks = list(stream)
            response = client.responses.create(model=MODEL, input="Hello")
            with client.responses.create(model=MODEL, input="Hello", stream=True) as events:
                last = list(events)[-1]
            vectors = client.embeddings.create(model="openai/text-embedding-3-small", input="Hello")
            return [chat, chunks, response, last, vectors]

        first, paid = asked(), _spent(gateway)
        again = [asked() for _ in range(3)]

    assert all(first == one for one in again)
    assert 5 == len(sandbox.bill()["generations"])
    assert paid == _spent(gateway) == Decimal(sandbox.bill()["total_cost"])


def test_anthropic(gateway: Gateway, sandbox: Sandbox) -> None:
    """Anthropic's SDK reads a stream from the cache as it read the first one."""
    token = gateway.token("tests", wishes={"cache": "3600"})
    with Anthropic(base_url=gateway.base_url, api_key=token, max_retries=0) as client:

        def asked() -> list[Any]:
            message = client.messages.create(model="claude-sonnet-5", max_tokens=100, messages=HELLO)
            with client.messages.stream(model="claude-sonnet-5", max_tokens=100, messages=HELLO) as stream:
                return [message, "".join(stream.text_stream), stream.get_final_message()]

        first = asked()
        again = [asked() for _ in range(3)]

    assert all(first == one for one in again)
    assert 2 == len(sandbox.bill()["generations"])
    assert _spent(gateway) == Decimal(sandbox.bill()["total_cost"])
