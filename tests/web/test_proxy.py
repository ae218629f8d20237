from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.core.sse import SseDecoder
from app.sandbox import Sandbox
from tests.gateway import KEY, Gateway


def _events(body: bytes) -> list[Any]:
    return [data if data == b"[DONE]" else json.loads(data) for data in SseDecoder().feed(body)]


def _rest(reply: requests.Response) -> bytes:
    return b"".join(iter(lambda: reply.raw.read1(65536), b""))


def _post(sandbox: Sandbox) -> dict[str, Any]:
    posts = [entry for entry in sandbox.log() if entry["method"] == "POST"]
    assert 1 == len(posts)
    return posts[0]


def test_plain_answer(gateway: Gateway, sandbox: Sandbox) -> None:
    """A plain answer is OpenRouter's, with what the gateway knows of it in headers."""
    reply = gateway.chat("openai/gpt-4o", "Hello")

    answer = reply.json()
    bill = sandbox.bill()["generations"][0]
    assert 200 == reply.status_code
    assert answer["id"] == reply.headers["X-Generation-Id"] == bill["id"]
    assert answer["model"] == reply.headers["x-orgate-model"]
    assert answer["provider"] == reply.headers["x-orgate-provider"]
    assert bill["cost"] == reply.headers["x-orgate-response-cost"]
    assert 0 <= float(reply.headers["x-orgate-overhead-duration-ms"]) < 1000
    assert reply.headers["x-orgate-call-id"] == reply.headers["x-request-id"]


def test_streamed_answer(gateway: Gateway) -> None:
    """A streamed answer comes as events and ends with [DONE]."""
    reply = gateway.chat("openai/gpt-4o", stream=True)

    events = _events(reply.content)
    assert "text/event-stream" == reply.headers["Content-Type"]
    assert events[0]["id"] == reply.headers["X-Generation-Id"]
    assert (b"[DONE]", 1) == (events[-1], events.count(b"[DONE]"))
    assert events[-2]["usage"]["cost"] > 0


def test_body_goes_as_it_came(gateway: Gateway, sandbox: Sandbox) -> None:
    """The request's bytes reach OpenRouter untouched: spelling, order, unknown fields and all."""
    body = b'{ "odd":{"b":1,  "a":[ 2.50 ]},\n"model":"sandbox/ok",\t"messages":[{"role":"user","content":"\\u00e9"}]}'

    gateway.request("POST", "/v1/chat/completions", headers={"Content-Type": "application/json"}, data=body)

    assert hashlib.sha256(body).hexdigest() == _post(sandbox)["body_sha256"]


def test_headers_that_pass(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """OpenRouter sees the app's attribution and session, the owner's extras, and nothing else of the app's."""
    gateway = make_gateway(
        openrouter_site_url="https://mine.example",
        openrouter_site_name="Mine",
        openrouter_extra_headers='{"X-Custom-Header": "custom-value"}',
    )

    gateway.chat(
        headers={
            "HTTP-Referer": "https://app.example",
            "X-OpenRouter-Categories": "cli-agent",
            "x-session-id": "s1",
            "anthropic-beta": "b1",
            "Cookie": "secret=1",
            "X-Forwarded-For": "10.0.0.1",
            "X-Stainless-Lang": "python",
        }
    )

    seen = _post(sandbox)["headers"]
    own = [seen.pop(name) for name in ("content-type", "accept", "accept-encoding", "user-agent")]
    assert {
        "http-referer": "https://app.example",
        "x-title": "Mine",
        "x-openrouter-categories": "cli-agent",
        "x-session-id": "s1",
        "anthropic-beta": "b1",
        "x-custom-header": "custom-value",
        "authorization": f"Bearer sk-or-…{KEY[-4:]}",
    } == {name: value for name, value in seen.items() if name not in ("host", "content-length")}
    assert ["application/json", "application/json", "identity", "orgate"] == own


def test_attribution_is_the_apps_own(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """The owner's attribution stands in only where the app sent none."""
    gateway = make_gateway(openrouter_site_url="https://mine.example", openrouter_site_name="Mine")

    gateway.chat(headers={"X-Title": "App"})

    seen = _post(sandbox)["headers"]
    assert ("https://mine.example", "App") == (seen["http-referer"], seen["x-title"])


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_early_hints(gateway: Gateway, stream: bool) -> None:
    """An interim answer ahead of the final one is passed over (RFC 9110, 15.2)."""
    reply = gateway.chat("sandbox/early-hints", stream=stream)

    assert 200 == reply.status_code
    assert b"content" in reply.content


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("sandbox/status-400", 400, "invalid_request_error"),
        ("sandbox/400-context-length", 400, "invalid_request_error"),
        ("sandbox/status-401", 401, "authentication_error"),
        ("sandbox/402-afford", 402, "insufficient_credits"),
        ("sandbox/403-guardrail", 403, "permission_error"),
        ("sandbox/404-no-endpoints", 404, "not_found_error"),
        ("sandbox/status-408", 408, "timeout_error"),
        ("sandbox/status-409", 409, "conflict_error"),
        ("sandbox/status-413", 413, "request_too_large"),
        ("sandbox/429-upstream", 429, "rate_limit_error"),
        ("sandbox/status-500", 502, "model_error"),
        ("sandbox/status-502", 502, "model_error"),
        ("sandbox/503-retry-after-40", 503, "service_unavailable"),
        ("sandbox/status-504", 504, "timeout_error"),
        ("sandbox/status-529", 503, "service_unavailable"),
        ("sandbox/502-html", 504, "timeout_error"),
        ("sandbox/520-html", 504, "timeout_error"),
        ("sandbox/redirect-307", 502, "model_error"),
        ("sandbox/204", 502, "model_error"),
        ("sandbox/garbage", 502, "model_error"),
        ("sandbox/reset", 504, "timeout_error"),
        ("sandbox/nobody/knows-it", 400, "invalid_request_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_refusals(gateway: Gateway, model: str, status: int, kind: str, stream: bool) -> None:
    """What OpenRouter refuses is told by a status and a type of the contract, streamed or not."""
    reply = gateway.chat(model, stream=stream)

    error = reply.json()["error"]
    assert (status, kind) == (reply.status_code, error["type"])
    assert error["message"]
    assert reply.headers["x-should-retry"] in ("true", "false")
    assert "user_id" not in reply.text


@pytest.mark.parametrize(
    "model", [f"sandbox/{name}" for name in ("error-in-200", "no-choices", "choice-error", "short-length", "empty")]
)
def test_errors_inside_a_200(gateway: Gateway, model: str) -> None:
    """An error in the body of a 200, or a body that is no answer, is an error for the app."""
    reply = gateway.chat(model)

    assert reply.status_code >= 400
    assert reply.json()["error"]["message"]


def test_what_openrouter_said(gateway: Gateway) -> None:
    """OpenRouter's message, metadata and Retry-After are kept."""
    reply = gateway.chat("sandbox/429-free-daily")

    error = reply.json()["error"]
    assert "free-models-per-day" in error["message"]
    assert "openrouter_free_tier_daily" == error["metadata"]["limit_source"]
    assert 0 < error["retry_after"] == int(reply.headers["Retry-After"]) <= 86_400
    assert "false" == reply.headers["x-should-retry"]


def test_numeric_codes(gateway: Gateway) -> None:
    """Below OpenRouter's own path the code is the status, as its SDKs require; elsewhere it is a word."""
    body = {"model": "sandbox/429-upstream", "messages": [{"role": "user", "content": "x"}]}

    here = gateway.request("POST", "/v1/chat/completions", json=body).json()["error"]
    there = gateway.request("POST", "/api/v1/chat/completions", json=body).json()["error"]

    assert ("upstream_rate_limited", 429) == (here["code"], there["code"])
    assert here["code"] == there["metadata"]["error_type"]


@pytest.mark.parametrize(
    "model",
    ["sandbox/cut-3", "sandbox/cut-clean-3", "sandbox/reset-mid-3", "sandbox/garbage-stream-3"],
)
def test_cut_streams(gateway: Gateway, model: str) -> None:
    """A cut answer ends with an error event and never with [DONE]; what came before is kept."""
    events = _events(gateway.chat(model, stream=True).content)

    assert b"[DONE]" not in events
    assert events[-1]["error"]["message"]
    assert "error" == events[-1]["choices"][0]["finish_reason"]
    assert 3 <= len(events)
    assert events[0]["id"] == events[-1]["id"]


def test_error_event_passes(gateway: Gateway) -> None:
    """An error event of OpenRouter's own goes through as it is, and no [DONE] is made up."""
    events = _events(gateway.chat("sandbox/error-mid-3", stream=True).content)

    assert "error" in events[-1]
    assert b"[DONE]" not in events


def test_whole_without_done(gateway: Gateway) -> None:
    """An answer that gave its finish_reason is whole, and gets the [DONE] that clients wait for."""
    events = _events(gateway.chat("sandbox/no-done", stream=True).content)

    assert b"[DONE]" == events[-1]
    assert not any(isinstance(event, dict) and "error" in event for event in events)


@pytest.mark.parametrize("model", ["sandbox/after-done", "sandbox/crlf", "sandbox/utf8-split", "sandbox/big-event"])
def test_odd_but_whole_streams(gateway: Gateway, model: str) -> None:
    """Unusual line ends, split characters, large events and chatter after the end do no harm."""
    events = _events(gateway.chat(model, stream=True).content)

    assert 1 == events.count(b"[DONE]")
    assert not any(isinstance(event, dict) and "error" in event for event in events)


def test_app_that_leaves(gateway: Gateway, sandbox: Sandbox) -> None:
    """When the app closes, OpenRouter's connection is closed too."""
    reply = gateway.chat("sandbox/drip-50", stream=True)
    next(reply.iter_content(64))

    reply.close()

    assert sandbox.wait_until(lambda log: any(entry["client_closed_at"] for entry in log))


def test_connection_is_kept(gateway: Gateway, sandbox: Sandbox) -> None:
    """Calls one after the other, plain and streamed, share one warm connection."""
    for stream in (False, True, False, True):
        assert gateway.chat(stream=stream).content

    assert 1 == len({entry["connection"] for entry in sandbox.log()})


def test_strict_sanitizing(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """Under `strict` other roles are dropped and long texts cut, and the answer says so."""
    gateway = make_gateway(orgate_sanitize="strict", orgate_max_message_chars="5")
    messages = [
        {"role": "tool", "content": "x"},
        {"role": "user", "content": "Hello there"},
        {"role": "user", "content": [{"type": "text", "text": "Good morning"}]},
    ]

    reply = gateway.chat("sandbox/echo", messages=messages)

    assert "dropped=1; cut=2" == reply.headers["x-orgate-sanitized"]
    assert "Good " == reply.json()["choices"][0]["message"]["content"]


def test_drain(gateway: Gateway) -> None:
    """At the end running answers may finish, new calls are refused, and what is left is ended with an error event."""
    reply = gateway.chat("sandbox/drip-200", stream=True)
    first = reply.raw.read1(64)
    draining = threading.Thread(target=gateway.services.relay.drain, args=(0.3,))

    draining.start()
    rest = _rest(reply)
    draining.join(5)
    refused = gateway.chat()

    events = _events(first + rest)
    assert (503, "stopping") == (refused.status_code, refused.json()["error"]["code"])
    assert "stopping" == events[-1]["error"]["metadata"]["error_type"]
    assert b"[DONE]" not in events


def test_drain_waits_for_what_ends_in_time(gateway: Gateway) -> None:
    """An answer that ends within the grace is whole."""
    reply = gateway.chat("sandbox/drip-20", stream=True)
    first = reply.raw.read1(64)

    cut = gateway.services.relay.drain(5)

    assert 0 == cut
    assert b"[DONE]" == _events(first + _rest(reply))[-1]
