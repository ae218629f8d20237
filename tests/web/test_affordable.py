from __future__ import annotations

from collections.abc import Callable

from app.core.money import NANO
from app.sandbox.server import Sandbox
from tests.gateway import Gateway

DEAR = "anthropic/claude-opus-4.5"
CLAMP = {"X-Orgate-Clamp": "1"}


def _posts(sandbox: Sandbox) -> int:
    return sum(row["method"] == "POST" for row in sandbox.log())


def test_affordable_tokens(gateway: Gateway, sandbox: Sandbox) -> None:
    """An account that cannot pay for the whole call says how long an answer it can pay for, and is not repeated."""
    sandbox.account(total_credits="7.43", total_usage="7.42")

    reply = gateway.chat(DEAR, max_tokens=32_000)
    error = reply.json()["error"]

    assert (402, "insufficient_credits", "false") == (reply.status_code, error["type"], reply.headers["x-should-retry"])
    assert 0 < error["details"]["affordable_max_tokens"] < 32_000
    assert 1 == _posts(sandbox)


def test_clamp(gateway: Gateway, sandbox: Sandbox) -> None:
    """On wish the call is made once more, with the tokens that can be paid for."""
    sandbox.account(total_credits="7.43", total_usage="7.42")

    reply = gateway.chat(DEAR, max_tokens=32_000, headers=CLAMP)

    assert 200 == reply.status_code
    assert reply.json()["usage"]["completion_tokens"] <= 400
    assert 2 == _posts(sandbox)
    assert "1" == reply.headers["x-orgate-attempted-retries"]


def test_clamp_gives_up(gateway: Gateway, sandbox: Sandbox) -> None:
    """It is made once more and no oftener, and not for a handful of tokens."""
    sandbox.account(total_credits="7.4201", total_usage="7.42")

    assert 402 == gateway.chat("sandbox/402-afford", headers=CLAMP).status_code
    assert 2 == _posts(sandbox)
    assert 402 == gateway.chat(DEAR, max_tokens=32_000, headers=CLAMP).status_code
    assert 3 == _posts(sandbox)


def test_unaffordable_call_shuts_no_door(gateway: Gateway, sandbox: Sandbox) -> None:
    """Where something can be paid for, the next call is sent, although nobody knows the balance."""
    sandbox.account(total_credits="7.43", total_usage="7.42", credits="forbidden")
    gateway.chat(DEAR, max_tokens=32_000)

    assert 200 == gateway.chat("openai/gpt-4o-mini", max_tokens=10).status_code


def test_budget_and_clamp(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """A call that does not fit its app's budget says what would, and on wish is made that small."""
    gateway = make_gateway(openrouter_background_refresh="false")
    gateway.services.models.kept.get()
    token = gateway.token("small", budgets={"day": NANO // 100})

    refused = gateway.chat(DEAR, token=token, max_tokens=32_000)
    error = refused.json()["error"]

    assert (402, "budget_exceeded", "false") == (refused.status_code, error["code"], refused.headers["x-should-retry"])
    assert {"period": "day", "limit": "0.01", "spent": "0", "held": "0", "left": "0.01"}.items() <= error[
        "details"
    ].items()
    assert error["details"]["affordable_max_tokens"] > 16
    assert 0 == _posts(sandbox)
    assert 200 == gateway.chat(DEAR, token=token, max_tokens=32_000, headers=CLAMP).status_code
