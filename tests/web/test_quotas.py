from __future__ import annotations

import time
from collections.abc import Callable

from app.sandbox import Sandbox
from tests.gateway import Gateway


def test_thirty_first_chat(gateway: Gateway, sandbox: Sandbox) -> None:
    """The 31st chat within a minute gets 429 with the time to wait; it is not sent, and other apps go on."""
    busy, other = gateway.token("busy"), gateway.token("other")
    served = [gateway.chat(token=busy) for _ in range(30)]

    refused = gateway.chat(token=busy)

    assert {200} == {reply.status_code for reply in served}
    assert [str(left) for left in range(29, -1, -1)] == [reply.headers["X-RateLimit-Remaining"] for reply in served]
    assert 429 == refused.status_code
    assert "rate_limit_error" == refused.json()["error"]["type"]
    assert ("30", "0", "true") == tuple(
        refused.headers[name] for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "x-should-retry")
    )
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert int(refused.headers["Retry-After"]) == refused.json()["error"]["retry_after"]
    assert 0 <= int(refused.headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert 30 == sum(entry["method"] == "POST" for entry in sandbox.log())
    assert 200 == gateway.chat(token=other).status_code


def test_two_tokens_of_one_app(make_gateway: Callable[..., Gateway]) -> None:
    """The quota is the app's: a second token of it does not double it."""
    gateway = make_gateway(orgate_rate_chat="1 per minute")

    statuses = [gateway.chat(token=gateway.token("twin")).status_code for _ in range(2)]

    assert [200, 429] == statuses


def test_quota_of_a_token(make_gateway: Callable[..., Gateway]) -> None:
    """A token's own quota stands in place of the gateway's."""
    gateway = make_gateway(orgate_rate_chat="1 per minute")
    token = gateway.token("batch", quotas={"chat": "3 per minute"})

    replies = [gateway.chat(token=token) for _ in range(4)]

    assert [200, 200, 200, 429] == [reply.status_code for reply in replies]
    assert {"3"} == {reply.headers["X-RateLimit-Limit"] for reply in replies}


def test_catalogue_and_balance(make_gateway: Callable[..., Gateway]) -> None:
    """Credits and models each have a quota of their own."""
    gateway = make_gateway(orgate_rate_credits="1 per 10 seconds", orgate_rate_models="2 per 10 seconds")
    token = gateway.token()

    credits = [gateway.get("/credits", token=token).status_code for _ in range(2)]
    models = [gateway.get("/models", token=token).status_code for _ in range(3)]

    assert [200, 429] == credits
    assert [200, 200, 429] == models


def test_errors_tell_the_quota_too(gateway: Gateway) -> None:
    """An answer that counted nothing still says where the app stands; every attempt counts."""
    token = gateway.token()

    replies = [
        gateway.chat(token=token, messages=[]),
        gateway.get("/credits", token=gateway.token("m", scopes=["models"])),
        gateway.get("/nothing", token=token),
        gateway.chat(token=token, model="sandbox/status-503"),
    ]

    assert [400, 403, 404, 503] == [reply.status_code for reply in replies]
    assert all("X-RateLimit-Reset" in reply.headers for reply in replies)
    assert "30" == replies[0].headers["X-RateLimit-Remaining"]
    assert "27" == replies[3].headers["X-RateLimit-Remaining"]


def test_slots(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """Over ORGATE_MAX_STREAMS a call gets 503 with Retry-After at once, costs no quota, and short requests go on."""
    gateway = make_gateway(orgate_max_streams="1")
    token = gateway.token()
    running = gateway.chat("sandbox/drip-200", stream=True, token=token)

    refused = gateway.chat(token=token)
    health = gateway.get("/health", token=None)
    running.close()
    assert sandbox.wait_until(lambda log: any(entry["client_closed_at"] for entry in log))

    assert (503, "too_many_calls") == (refused.status_code, refused.json()["error"]["code"])
    assert ("1", "true") == (refused.headers["Retry-After"], refused.headers["x-should-retry"])
    assert "29" == refused.headers["X-RateLimit-Remaining"]
    assert 200 == health.status_code
