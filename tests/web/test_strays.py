from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from app.sandbox import Sandbox
from tests.gateway import Gateway


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/v1/models", "twice"),
        ("/v1/v1/messages", "twice"),
        ("/v1/api/v1/chat/completions", "twice"),
        ("/api/v1/v1/chat/completions", "twice"),
        ("/v1/chat/completions/chat/completions", "leave /chat/completions out"),
        ("/v1/messages/v1/messages", "leave /messages out"),
        ("/chat/completions", "ends? in /v1|end in /v1"),
        ("/messages", "at the address without a path"),
        ("/models", "/v1"),
        ("/v1", "orgate connect"),
        ("/v1/", "orgate connect"),
        ("/", "orgate connect"),
        ("/v1/audio/speech", "does not relay audio"),
        ("/v1/models/", "slash at its end"),
        ("/v1/models/gpt-4o", "author/name"),
        ("/v1/something", "README"),
    ],
)
def test_wrong_addresses(gateway: Gateway, path: str, told: str) -> None:
    """An address that programs are often given by mistake is told with what to give them instead."""
    reply = gateway.request("GET", path)

    assert 404 == reply.status_code
    assert re.search(told, reply.json()["error"]["message"])


@pytest.mark.parametrize(
    ("method", "path", "whose"),
    [
        ("GET", "/api/tags", "Ollama"),
        ("GET", "/api/version", "Ollama"),
        ("POST", "/api/chat", "Ollama"),
        ("POST", "/v1/api/show", "Ollama"),
        ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", "Google"),
        ("GET", "/api/v0/models", "LM Studio"),
        ("POST", "/openai/deployments/x/chat/completions", "Azure"),
    ],
)
def test_probes(gateway: Gateway, sandbox: Sandbox, method: str, path: str, whose: str) -> None:
    """Who probes for another product's interface gets a clear 404, also without a token."""
    reply = gateway.request(method, path, token=None)

    assert 404 == reply.status_code
    assert f"{whose}'s interface is not spoken here" in reply.json()["error"]["message"]
    assert [] == sandbox.log()


def test_missing_token_is_told(gateway: Gateway) -> None:
    """A request without a token is told how to send one, in words that no redaction spoils."""
    message = gateway.request("GET", "/v1/models", token=None).json()["error"]["message"]

    assert "Authorization: Bearer <token>" in message
    assert "secret" not in message


def test_unknown_parameters(gateway: Gateway) -> None:
    """Parameters that nobody knows change nothing."""
    body = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hello"}]}

    assert 200 == gateway.request("GET", "/v1/models?limit=1000").status_code
    assert 200 == gateway.request("POST", "/v1/chat/completions?beta=true", json=body).status_code


def test_head(gateway: Gateway) -> None:
    """HEAD is answered as GET is, without a body."""
    got, headed = gateway.request("GET", "/v1/models"), gateway.request("HEAD", "/v1/models")

    assert (200, b"") == (headed.status_code, headed.content)
    assert got.headers["ETag"] == headed.headers["ETag"]


@pytest.mark.parametrize("name", ["openai/gpt-4o-mini", "openai%2Fgpt-4o-mini", "~anthropic/claude-sonnet-latest"])
def test_one_model(gateway: Gateway, name: str) -> None:
    """One model is OpenRouter's entry with what OpenAI's SDKs read beside it."""
    reply = gateway.request("GET", f"/v1/models/{name}")
    listed = {model["id"]: model for model in gateway.get("/models").json()["data"]}

    model = reply.json()
    owner = model["id"].strip("~").split("/")[0]
    assert {**listed[model["id"]], "object": "model", "owned_by": owner} == model


def test_one_model_for_anthropic(gateway: Gateway) -> None:
    """Programs that speak Anthropic's protocol get one model in its shape."""
    headers = {"anthropic-version": "2023-06-01"}
    model = gateway.request("GET", "/v1/models/anthropic/claude-sonnet-4.5", headers=headers).json()

    assert {"type", "id", "display_name", "created_at"} == model.keys()
    assert "anthropic/claude-sonnet-4.5" == model["id"]


def test_no_such_model(make_gateway: Callable[..., Gateway]) -> None:
    """What is not in the list, or not in the owner's choice, is a 404 that says where the list is."""
    gateway = make_gateway(openrouter_models="anthropic/*", openrouter_background_refresh="false")
    replies = [gateway.request("GET", f"/v1/models/{name}") for name in ("nobody/nothing", "openai/gpt-4o-mini")]

    assert [404, 404] == [reply.status_code for reply in replies]
    assert {"orgate models"} == {reply.json()["error"]["message"].partition("See: ")[2] for reply in replies}


def test_desktop_apps(make_gateway: Callable[..., Gateway]) -> None:
    """A desktop app that was let in may send its SDK's own headers, and read ours."""
    gateway = make_gateway(orgate_allowed_origins="app://notes")
    wanted = "authorization,content-type,x-stainless-lang,http-referer"
    asking = {"Origin": "app://notes", "Access-Control-Request-Headers": wanted}

    asked = gateway.request("OPTIONS", "/v1/chat/completions", token=None, headers=asking)
    body = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hello"}]}
    reply = gateway.request("POST", "/v1/chat/completions", headers={"Origin": "app://notes"}, json=body)

    assert (204, wanted) == (asked.status_code, asked.headers["Access-Control-Allow-Headers"])
    assert {"x-orgate-model", "x-ratelimit-remaining"} <= set(
        reply.headers["Access-Control-Expose-Headers"].split(", ")
    )
