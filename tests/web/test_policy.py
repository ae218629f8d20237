from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.core.catalogue import Query
from app.core.money import NANO
from app.core.shapes import dump
from app.sandbox import Sandbox
from tests.gateway import Gateway

DEAR, CHEAP, FREE = "openai/gpt-4o", "mistralai/mistral-nemo", "liquid/lfm-2.5-2.6b:free"


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway that has the catalogue at hand."""
    gateway = make_gateway(openrouter_background_refresh="false")
    gateway.services.models.get(Query())
    return gateway


def _sent(sandbox: Sandbox) -> list[str]:
    return [entry["model"] for entry in sandbox.log() if entry["method"] == "POST"]


def _error(reply: Any) -> dict[str, Any]:
    assert 403 == reply.status_code
    error: dict[str, Any] = reply.json()["error"]
    assert "permission_error" == error["type"]
    return error


@pytest.mark.parametrize("body", [{"model": DEAR}, {"model": CHEAP, "models": [DEAR]}, {"model": f"{CHEAP}:online"}])
def test_model_not_allowed(gateway: Gateway, sandbox: Sandbox, body: dict[str, Any]) -> None:
    """A model that the token does not name is refused wherever it stands in the chain, and nothing is sent."""
    token = gateway.token(models=[CHEAP, "anthropic/*"])

    error = _error(gateway.chat(token=token, **body))

    assert ("model_not_allowed", "model") == (error["code"], error["param"])
    assert [CHEAP, "anthropic/*"] == error["details"]["allowed"]
    assert [] == _sent(sandbox)


def test_allowed_models(gateway: Gateway) -> None:
    """The models that the token names, and those of its authors, answer."""
    token = gateway.token(models=[CHEAP, "sandbox/*"])

    assert [200, 200] == [gateway.chat(model, token=token).status_code for model in (CHEAP, "sandbox/ok")]


def test_too_dear_is_left_out(gateway: Gateway, sandbox: Sandbox) -> None:
    """A model above the token's ceiling is left out of a chain before anything is sent."""
    token = gateway.token(max_price={"prompt": "1", "completion": "5"})

    reply = gateway.chat(DEAR, models=[CHEAP, f"{DEAR}:nitro"], token=token)

    assert 200 == reply.status_code
    assert [CHEAP] == _sent(sandbox)


def test_only_too_dear(gateway: Gateway, sandbox: Sandbox) -> None:
    """When every model is too dear the app is told the prices and its ceiling."""
    token = gateway.token(max_price={"prompt": "0", "completion": "0"})

    error = _error(gateway.chat(DEAR, models=[CHEAP], token=token))

    assert "model_too_dear" == error["code"]
    assert {"prompt": "0", "completion": "0"} == error["details"]["max_price"]
    assert {"prompt": "2.5", "completion": "10"} == error["details"]["prices"][DEAR]
    assert [] == _sent(sandbox)
    assert 200 == gateway.chat(FREE, token=token).status_code


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (None, {"max_price": {"prompt": "1", "completion": "5"}}),
        (
            {"sort": "price", "max_price": {"prompt": 0.5, "completion": 9}},
            {"sort": "price", "max_price": {"prompt": 0.5, "completion": "5"}},
        ),
        (
            {"quantization": ["fp16"]},
            {"quantizations": ["fp16"], "max_price": {"prompt": "1", "completion": "5"}},
        ),
    ],
)
def test_ceiling_reaches_openrouter(
    gateway: Gateway, sandbox: Sandbox, provider: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    """OpenRouter is told the ceiling, so that it chooses no dearer provider; the caller's lower one stays."""
    token = gateway.token(max_price={"prompt": "1", "completion": "5"})

    reply = gateway.chat(CHEAP, "Hello", provider=provider, token=token)

    sent = {"model": CHEAP, "messages": [{"role": "user", "content": "Hello"}], "provider": expected}
    posts = [entry for entry in sandbox.log() if entry["method"] == "POST"]
    assert 200 == reply.status_code
    assert [hashlib.sha256(dump(sent)).hexdigest()] == [entry["body_sha256"] for entry in posts]


def test_openrouter_keeps_the_ceiling(make_gateway: Callable[..., Gateway]) -> None:
    """A gateway that does not know the prices yet leaves the refusal to OpenRouter."""
    gateway = make_gateway(openrouter_background_refresh="false")

    reply = gateway.chat(DEAR, token=gateway.token(max_price={"prompt": "1", "completion": "5"}))

    assert 404 == reply.status_code
    assert "max_price" in reply.json()["error"]["message"]


def test_changed_at_once(gateway: Gateway) -> None:
    """What the owner changes counts from the next call on, with the same token."""
    token = gateway.token("agent", models=[CHEAP])
    before = gateway.chat(DEAR, token=token).status_code

    gateway.services.office.change("agent", models=(), budgets={"day": 100 * NANO})

    assert (403, 200) == (before, gateway.chat(DEAR, token=token).status_code)
    assert {"day": 100 * NANO} == gateway.services.tokens.verify(token).budgets


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (CHEAP, CHEAP),
        (FREE, FREE),
        (f"{CHEAP}:online", CHEAP),
        (f"{FREE}:nitro", FREE),
        (f"{CHEAP}:unheard-of", None),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("nobody/knows-it", None),
        ("None", None),
    ],
)
def test_entries(gateway: Gateway, name: str, found: str | None) -> None:
    """A model is found in the catalogue by its id, with a route behind it, and by its canonical slug."""
    entry = gateway.services.models.entry_of(name)

    assert found == (entry["id"] if entry is not None else None)


def test_variants_share_a_slug(gateway: Gateway) -> None:
    """A canonical slug alone means the model itself and never its free variant; with the variant behind it, that."""
    body = json.loads(gateway.services.models.get(Query()).listing.body)
    variants = [model for model in body["data"] if ":" in model["id"]]

    for model in variants:
        base, _, variant = model["id"].partition(":")
        slug = model["canonical_slug"].removesuffix(f":{variant}")
        entry = gateway.services.models.entry_of(slug)
        assert entry is None or ":" not in entry["id"]
        assert gateway.services.models.entry_of(f"{slug}:{variant}") is not None, base


def test_no_catalogue(make_gateway: Callable[..., Gateway]) -> None:
    """Before the catalogue was fetched no model is known, and nobody is asked."""
    gateway = make_gateway(openrouter_background_refresh="false")

    assert gateway.services.models.entry_of(CHEAP) is None
