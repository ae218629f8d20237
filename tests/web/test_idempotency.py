"""Calls with an Idempotency-Key through the HTTP interface, with the sandbox's bill as witness."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true
from tests.lab.client.raw_app import RawApp


def _billed(sandbox: Sandbox) -> int:
    return len(sandbox.bill()["generations"])


def _posts(sandbox: Sandbox) -> int:
    return sum(row["method"] == "POST" for row in sandbox.log())


def _keyed(key: str, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **more}


def test_repeated(gateway: Gateway, sandbox: Sandbox) -> None:
    """A call that is repeated gets the answer it had, byte for byte and with the call's id, and is paid once."""
    token = gateway.token()

    first, second = (gateway.chat(token=token, headers=_keyed("k-1")) for _ in range(2))

    assert first.content == second.content
    assert first.headers["x-orgate-call-id"] == second.headers["x-orgate-call-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert (None, "true") == tuple(reply.headers.get("Idempotency-Replayed") for reply in (first, second))
    assert 1 == _billed(sandbox)


def test_joined(gateway: Gateway, sandbox: Sandbox) -> None:
    """Repeats of a call that runs wait for its answer."""
    token = gateway.token()

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(gateway.chat, "sandbox/delay-500", token=token, headers=_keyed("k")) for _ in range(4)]
        replies = [each.result() for each in asked]

    assert 1 == len({reply.content for reply in replies})
    assert (1, 1) == (_posts(sandbox), _billed(sandbox))


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_app_that_left(gateway: Gateway, sandbox: Sandbox, how: Any) -> None:
    """A call that was sent runs to its end although the app left, and is there when it comes back."""
    token = gateway.token()
    with RawApp(gateway, token) as app:
        app.chat("sandbox/delay-1500", "Idempotency-Key: k", messages=[{"role": "user", "content": "Hello"}])
        assert sandbox.wait_until(lambda rows: any(row["method"] == "POST" for row in rows))
        app.leave(how)
    assert comes_true(lambda: not gateway.server._listeners[0].active_channels)

    with RawApp(gateway, token) as app:
        app.chat("sandbox/delay-1500", "Idempotency-Key: k", messages=[{"role": "user", "content": "Hello"}])
        reply = app.reply()

    assert 200 == reply.status
    assert b"Hello" in reply.body
    assert (1, 1) == (_posts(sandbox), _billed(sandbox))


def test_app_that_left_the_queue(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """A call that only waited for its quota ends when its app leaves, costs nothing, and can be made again."""
    gateway = make_gateway(openrouter_background_refresh="false", orgate_rate_chat="1 per 2 seconds")
    token = gateway.token()
    assert 200 == gateway.chat(token=token).status_code
    with RawApp(gateway, token) as app:
        app.chat("sandbox/ok", "X-Orgate-Queue: 20", "Idempotency-Key: k")
        assert comes_true(lambda: gateway.services.relay._running)
        app.leave()
    assert comes_true(lambda: not gateway.services.relay._running)
    assert 1 == _posts(sandbox)

    with RawApp(gateway, token) as app:
        app.chat("sandbox/ok", "X-Orgate-Queue: 20", "Idempotency-Key: k")
        reply = app.reply()

    assert 200 == reply.status
    assert "Idempotency-Replayed" not in reply.headers
    assert 2 == _billed(sandbox)


def test_other_body(gateway: Gateway, sandbox: Sandbox) -> None:
    """A key stands for one request: with another body it is a conflict, and nothing is sent."""
    token = gateway.token()
    gateway.chat(token=token, headers=_keyed("k"))

    reply = gateway.chat(text="Something else", token=token, headers=_keyed("k"))

    error = reply.json()["error"]
    assert (409, "conflict_error", "key_reused") == (reply.status_code, error["type"], error["code"])
    assert "false" == reply.headers["x-should-retry"]
    assert 1 == _posts(sandbox)


def test_other_app(gateway: Gateway, sandbox: Sandbox) -> None:
    """A key is the app's own: another app's call with the same one is another call."""
    replies = [gateway.chat(token=gateway.token(name), headers=_keyed("k")) for name in ("one", "two")]

    assert 2 == _billed(sandbox)
    assert not any("Idempotency-Replayed" in reply.headers for reply in replies)


def test_final_error(gateway: Gateway, sandbox: Sandbox) -> None:
    """A failure that may have been billed is the call's outcome as well: it is told again, not tried again."""
    token = gateway.token()

    first, second = (gateway.chat("sandbox/reset", token=token, headers=_keyed("k")) for _ in range(2))

    assert (504, 504) == (first.status_code, second.status_code)
    assert "outcome_unknown" == second.json()["error"]["code"]
    assert 1 == _posts(sandbox)


def test_refusal_leaves_the_key_free(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """What was refused before anything was sent can be asked again under the same key."""
    gateway = make_gateway(openrouter_background_refresh="false")
    token = gateway.token("paused")
    gateway.services.relay.pause("paused")
    refused = gateway.chat(token=token, headers=_keyed("k"))
    gateway.services.relay.resume("paused")

    reply = gateway.chat(token=token, headers=_keyed("k"))

    assert (503, 200) == (refused.status_code, reply.status_code)
    assert 1 == _billed(sandbox)


def test_memory(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """
    With the id of the gateway's memory an unknown key is made only by the gateway that would know it: after a restart
    the app is told that nobody knows, and the new id.
    """
    gateway, other = (make_gateway(openrouter_background_refresh="false") for _ in range(2))
    token, later = gateway.token(), other.token()
    asked = gateway.chat(token=token, headers=_keyed("k", **{"X-Orgate-Memory": "none"}))
    memory = _keyed("k", **{"X-Orgate-Memory": asked.json()["error"]["details"]["memory"]})

    here, again = (gateway.chat(token=token, headers=memory) for _ in range(2))
    restarted = other.chat(token=later, headers=memory)

    error = restarted.json()["error"]
    assert (409, "memory_lost") == (asked.status_code, asked.json()["error"]["code"])
    assert (200, 200) == (here.status_code, again.status_code)
    assert (409, "memory_lost") == (restarted.status_code, error["code"])
    assert memory["X-Orgate-Memory"] != error["details"]["memory"]
    assert 1 == _billed(sandbox)


@pytest.mark.parametrize(("name", "value"), [("Idempotency-Key", "x" * 256), ("X-Orgate-Memory", "a b")])
def test_bad_headers(gateway: Gateway, name: str, value: str) -> None:
    """A key or a memory that cannot be one is refused."""
    reply = gateway.chat(headers={**_keyed("k"), name: value})

    assert (400, name) == (reply.status_code, reply.json()["error"]["param"])


def test_streams_pass(gateway: Gateway, sandbox: Sandbox) -> None:
    """A streamed call with a key is made as if it had none."""
    token = gateway.token()

    replies = [gateway.chat(token=token, stream=True, headers=_keyed("k")) for _ in range(2)]

    assert all(b"[DONE]" in reply.content for reply in replies)
    assert 2 == _billed(sandbox)
