from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.gateway import KEY, Gateway
from tests.upstream import ScriptedUpstream

MOUNTS = ("/v1", "/api/v1", "/api/openrouter")


@pytest.mark.parametrize("mount", MOUNTS)
def test_key(gateway: Gateway, mount: str) -> None:
    """The key's figures are OpenRouter's, without its label in full and without the ids of people."""
    reply = gateway.request("GET", f"{mount}/key")

    data = reply.json()["data"]
    assert 200 == reply.status_code
    assert {"usage", "limit", "limit_remaining", "is_free_tier"} <= set(data)
    assert f"sk-or-…{KEY[-3:]}" == data["label"]
    assert KEY[:14] not in reply.text
    assert data["creator_user_id"] is None


def test_key_is_kept(gateway: Gateway, sandbox: Sandbox) -> None:
    """Asked again and again, OpenRouter is asked once; `force` asks it now."""
    for _ in range(3):
        gateway.get("/key")
    asked = [entry for entry in sandbox.log() if entry["path"].endswith("/key")]

    assert 1 == len(asked)


def test_generation(gateway: Gateway, sandbox: Sandbox) -> None:
    """A generation is told as OpenRouter tells it, cost included."""
    sandbox.account(generation_delay_ms=0)
    name = gateway.chat("openai/gpt-4o").headers["X-Generation-Id"]

    reply = gateway.get("/generation", params={"id": name})

    assert 200 == reply.status_code
    assert (name, "completions") == (reply.json()["data"]["id"], reply.json()["data"]["api_type"])
    assert float(sandbox.bill()["generations"][0]["cost"]) == reply.json()["data"]["total_cost"]


@pytest.mark.parametrize(
    ("name", "status"), [("gen-unknown", 404), ("", 400), ("../key", 400), ("gen-1&x=y", 400), ("g" * 200, 400)]
)
def test_no_generation(gateway: Gateway, name: str, status: int) -> None:
    """One that OpenRouter does not know is a 404, and what is no id is never sent."""
    assert status == gateway.get("/generation", params={"id": name}).status_code


def test_endpoints(gateway: Gateway, sandbox: Sandbox) -> None:
    """Who serves a model is told as OpenRouter tells it, asked once for all, and without the key."""
    for _ in range(2):
        reply = gateway.get("/models/openai/gpt-4o/endpoints")
    asked = [entry for entry in sandbox.log() if entry["path"].endswith("/endpoints")]

    assert (200, "openai/gpt-4o") == (reply.status_code, reply.json()["data"]["id"])
    assert 1 == len(asked)
    assert "authorization" not in asked[0]["headers"]


@pytest.mark.parametrize("path", ["no/such", "openai/gpt-4o%2F..%2F..", "%2e%2e/key", "a/b%3Fc"])
def test_no_endpoints(gateway: Gateway, path: str) -> None:
    """An unknown model, or what is no model's name, is a 404."""
    assert 404 == gateway.get(f"/models/{path}/endpoints").status_code


@pytest.mark.parametrize(
    ("path", "scope"),
    [("/key", "credits"), ("/generation?id=gen-1234", "usage"), ("/models/openai/gpt-4o/endpoints", "models")],
)
def test_scopes(gateway: Gateway, path: str, scope: str) -> None:
    """Each needs its scope, and that alone."""
    with_it, without = gateway.token(scopes=(scope,)), gateway.token(scopes=("chat",))

    assert 403 != gateway.get(path, token=with_it).status_code
    assert 403 == gateway.get(path, token=without).status_code


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, {"error": {"code": 500, "message": "Broke"}}, 502),
        (401, {"error": {"code": 401, "message": "User not found."}}, 401),
        (200, "<html>", 502),
        (200, {"data": 3}, 502),
    ],
)
def test_failures(
    make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream, status: int, body: Any, expected: int
) -> None:
    """OpenRouter's failures are errors of the gateway, never answers."""
    gateway = make_gateway(openrouter_base_url=upstream.url, openrouter_background_refresh="false")
    for path in ("/key", "/generation", "/models/a/b/endpoints"):
        upstream.give(path, status, body)

    for path in ("/key", "/generation?id=gen-1234", "/models/a/b/endpoints"):
        assert expected == gateway.get(path).status_code


def test_claude_list(gateway: Gateway) -> None:
    """Claude Code's question for models is answered in Anthropic's shape."""
    headers = {"anthropic-version": "2023-06-01"}

    page = gateway.request("GET", "/v1/models?limit=1000", headers=headers).json()

    assert {"data", "has_more", "first_id", "last_id"} == set(page)
    assert {"model"} == {each["type"] for each in page["data"]}
    assert any(each["id"].startswith("anthropic/claude") for each in page["data"])


def test_codex_list(gateway: Gateway) -> None:
    """Codex's question for models is answered in its own shape, and takes no instructions of Codex's away."""
    assert {"models": []} == gateway.request("GET", "/v1/models?client_version=0.169.0").json()


def test_plain_list(gateway: Gateway) -> None:
    """Whoever asks for neither gets OpenRouter's."""
    assert "pricing" in gateway.request("GET", "/v1/models?limit=1000").json()["data"][0]
