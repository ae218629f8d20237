from __future__ import annotations

import re
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.gateway import Gateway
from tests.lab.client.raw_app import pause


def _models(sandbox: Sandbox) -> list[str]:
    return [entry["model"] for entry in sandbox.log() if entry["method"] == "POST"]


def _story(gateway: Gateway, call_id: str, token: str) -> Any:
    return gateway.get(f"/calls/{call_id}", token=token).json()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_chain(gateway: Gateway, sandbox: Sandbox, stream: bool) -> None:
    """A chain is answered by its first model that works, and the answer says which and how many were asked."""
    token = gateway.token()

    reply = gateway.chat(
        "sandbox/404-no-endpoints", models=["sandbox/status-500", "openai/gpt-4o"], stream=stream, token=token
    )

    whole = reply.content
    story = _story(gateway, reply.headers["x-orgate-call-id"], token)
    assert whole
    assert 200 == reply.status_code
    assert ["sandbox/404-no-endpoints", "sandbox/status-500", "sandbox/status-500", "openai/gpt-4o"] == _models(sandbox)
    assert ("2", "1") == tuple(reply.headers[f"x-orgate-attempted-{name}"] for name in ("fallbacks", "retries"))
    assert reply.headers["x-orgate-model"].startswith("openai/gpt-4o")
    assert [404, 502, 502, 200] == [attempt["status"] for attempt in story["attempts"]]


def test_chain_that_fails(gateway: Gateway) -> None:
    """When no model answers, the error lists what was tried, and a client is told not to multiply it."""
    reply = gateway.chat("sandbox/404-no-endpoints", models=["sandbox/status-503"])

    attempts = reply.json()["error"]["details"]["attempts"]
    assert 503 == reply.status_code
    assert ["sandbox/404-no-endpoints"] + ["sandbox/status-503"] * 3 == [attempt["model"] for attempt in attempts]
    assert all(attempt["sent"] and attempt["reason"] and attempt["seconds"] >= 0 for attempt in attempts)
    assert "false" == reply.headers["x-should-retry"]


def test_story_is_the_apps_own(gateway: Gateway) -> None:
    """An app can ask for its own calls, not for those of another; the owner's tools can for all."""
    mine, other, owner = gateway.token("mine"), gateway.token("other"), gateway.token("orgate", own=True)
    call_id = gateway.chat(token=mine).headers["x-orgate-call-id"]

    statuses = [gateway.get(f"/calls/{call_id}", token=token).status_code for token in (mine, other, owner)]

    assert [200, 404, 200] == statuses


def test_names_in_the_order_of_time(gateway: Gateway) -> None:
    """Calls are named in the order in which they came, so that a ledger of any size writes new rows beside the last."""
    names = []
    for _ in range(3):
        names.append(gateway.chat().headers["x-orgate-call-id"])
        pause(0.002)

    assert names == sorted(names)
    assert all(re.fullmatch("call_[0-9a-f]{24}", name) for name in names)


def test_whole_delivery(gateway: Gateway) -> None:
    """Delivered whole, an answer that is cut in the middle is replaced by the next model's; nobody sees the half."""
    reply = gateway.chat(
        "sandbox/cut-3", models=["sandbox/echo"], stream=True, headers={"X-Orgate-Delivery": "whole"}, text="All of it"
    )

    body = reply.content.decode()
    assert "sandbox/cut-3" not in body
    assert body.endswith("data: [DONE]\n\n")
    assert "1" == reply.headers["x-orgate-attempted-fallbacks"]


def test_breakers_are_told(gateway: Gateway) -> None:
    """A model that failed three times in a row rests; health says so to those who have a token."""
    gateway.chat("sandbox/status-503")

    anyone = gateway.get("/health", token=None).json()
    known = gateway.get("/health").json()

    assert "breakers" not in anyone
    assert ["sandbox/status-503"] == list(known["breakers"]["models"])


def test_wishes_of_a_token(gateway: Gateway, sandbox: Sandbox) -> None:
    """What a token wishes holds for its calls, unless a call wishes otherwise."""
    token = gateway.token("careful", wishes={"delivery": "whole"})
    chain = {"models": ["sandbox/echo"], "stream": True, "token": token}

    whole = gateway.chat("sandbox/cut-3", **chain).content
    live = gateway.chat("sandbox/cut-3", headers={"X-Orgate-Delivery": "live"}, **chain).content

    assert whole.endswith(b"data: [DONE]\n\n")
    assert b"[DONE]" not in live


@pytest.mark.parametrize(
    "header",
    [
        {"X-Orgate-Delivery": "soon"},
        {"X-Orgate-Queue": "-1"},
        {"X-Orgate-Timeout": "0"},
        {"X-Orgate-Retry-Ambiguous": "yes"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_bad_wishes(gateway: Gateway, sandbox: Sandbox, header: dict[str, str]) -> None:
    """A wish that cannot be meant is a 400 that names the header, before anything is sent."""
    reply = gateway.chat(headers=header)

    assert (400, *header) == (reply.status_code, reply.json()["error"]["param"])
    assert [] == _models(sandbox)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"models": [f"a/{number}" for number in range(11)]}, "models"),
        ({"model": "openrouter/auto", "models": ["openai/gpt-4o"]}, "models"),
        ({"provider": {"quantisation": ["fp16"]}}, "provider.quantisation"),
        ({"provider": {"order": "OpenAI"}}, "provider.order"),
    ],
    ids=["eleven models", "router in a chain", "unknown preference", "wrong preference"],
)
def test_bad_plans(gateway: Gateway, sandbox: Sandbox, body: dict[str, Any], param: str) -> None:
    """A chain or a preference that cannot work is a 400 that names the field."""
    reply = gateway.chat(**body)

    assert (400, param) == (reply.status_code, reply.json()["error"]["param"])
    assert [] == _models(sandbox)
