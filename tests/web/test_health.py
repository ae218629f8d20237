from __future__ import annotations

from collections.abc import Callable

from app.sandbox import Sandbox
from tests.gateway import Gateway
from tests.upstream import ScriptedUpstream


def test_healthy(gateway: Gateway) -> None:
    """Anyone may ask, and hears booleans only, as in the document."""
    gateway.get("/health", token=None)

    reply = gateway.get("/health", token=None)

    expected = {"status": "healthy", "credits": True, "models": True, "cache": {"credits": True, "models": True}}
    assert (200, expected) == (reply.status_code, reply.json())


def test_no_money_left(gateway: Gateway, sandbox: Sandbox) -> None:
    """With nothing left on the account `credits` is false, and the gateway is still healthy."""
    sandbox.account(total_credits="5", total_usage="5")

    state = gateway.get("/health", token=None).json()

    assert ("healthy", False, True) == (state["status"], state["credits"], state["models"])


def test_unknown_balance(gateway: Gateway, sandbox: Sandbox) -> None:
    """A balance that OpenRouter does not tell is not taken for an empty one."""
    sandbox.account(credits="forbidden")

    assert True is gateway.get("/health", token=None).json()["credits"]


def test_openrouter_unreachable(make_gateway: Callable[..., Gateway]) -> None:
    """Without OpenRouter it is 503 with the reason, in the document's shape."""
    gateway = make_gateway(openrouter_base_url="http://127.0.0.1:9")

    reply = gateway.get("/health", token=None)

    assert (503, "unhealthy") == (reply.status_code, reply.json()["status"])
    assert "could not be reached" in reply.json()["error"]


def test_silent_openrouter(make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    """An OpenRouter that does not answer is not waited for longer than 2 s."""
    upstream.gate.clear()
    gateway = make_gateway(openrouter_base_url=upstream.url, openrouter_background_refresh="false")

    reply = gateway.get("/health", token=None)

    assert 503 == reply.status_code
    assert reply.elapsed.total_seconds() < 10


def test_alive(gateway: Gateway) -> None:
    """/healthz says that the process answers, and nothing else."""
    reply = gateway.request("GET", "/healthz", token=None)

    assert (204, b"") == (reply.status_code, reply.content)
