from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from openai import OpenAI
from openrouter import OpenRouter

from app.sandbox import Sandbox
from tests.gateway import Gateway

pytestmark = pytest.mark.clients

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5", "google/gemini-2.5-flash")
HELLO: Any = [{"role": "user", "content": "Hello, who are you?"}]


def _dollars(cost: float) -> Decimal:
    """The decimal that the SDK's float was read from."""
    return Decimal(repr(cost))


def _used(gateway: Gateway) -> dict[str, Any]:
    gateway.services.ledger.flush()
    told: dict[str, Any] = gateway.get("/usage?by=model").json()
    return told


def test_costs_by_openai(gateway: Gateway, sandbox: Sandbox) -> None:
    """The costs that OpenAI's SDK is told, plain and streamed, are those of the headers, the ledger and the bill."""
    told = Decimal(0)
    with OpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.token(), max_retries=0) as client:
        for model in MODELS:
            raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
            cost = _dollars(raw.parse().usage.model_extra["cost"])
            assert cost == Decimal(raw.headers["x-orgate-response-cost"])
            with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
                last = [chunk.usage for chunk in stream if chunk.usage][-1]
            told += cost + _dollars(last.model_extra["cost"])

    used = _used(gateway)
    assert told == Decimal(used["total_cost"]) == Decimal(sandbox.bill()["total_cost"])
    assert told == sum(Decimal(row["cost"]) for row in used["data"])


def test_costs_by_openrouter(gateway: Gateway, sandbox: Sandbox) -> None:
    """The same holds for OpenRouter's own SDK."""
    told = Decimal(0)
    address = f"{gateway.base_url}/api/v1"
    with OpenRouter(api_key=gateway.token(), server_url=address, retry_config=None) as client:
        for model in MODELS:
            told += _dollars(client.chat.send(model=model, messages=HELLO).usage.cost)
            with client.chat.send(model=model, messages=HELLO, stream=True) as stream:
                told += [_dollars(chunk.usage.cost) for chunk in stream if chunk.usage][-1]

    assert told == Decimal(_used(gateway)["total_cost"]) == Decimal(sandbox.bill()["total_cost"])
