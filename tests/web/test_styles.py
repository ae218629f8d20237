from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from app.sandbox import Sandbox
from tests.gateway import Gateway

BODIES: dict[str, dict[str, Any]] = {
    "/messages": {"max_tokens": 50, "messages": [{"role": "user", "content": "Say hello"}]},
    "/responses": {"max_output_tokens": 50, "input": "Say hello"},
    "/completions": {"max_tokens": 50, "prompt": "Say hello"},
    "/embeddings": {"input": "Say hello", "dimensions": 4},
}
STREAMED = ("/messages", "/responses", "/completions")
MOUNTS = ("/v1", "/api/v1", "/api/openrouter")
ENDS = {"/messages": b"message_stop", "/responses": b"[DONE]", "/completions": b"[DONE]"}


def ask(
    gateway: Gateway, endpoint: str, model: str = "sandbox/ok", mount: str = "/v1", **rest: Any
) -> requests.Response:
    """A call in this style; `headers` and `token` as in Gateway.request, all else is the body's."""
    given = {name: rest.pop(name) for name in ("headers", "token") if name in rest}
    body = {"model": model, **BODIES[endpoint], **rest}
    return gateway.request("POST", mount + endpoint, json=body, **given)


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The calls that the sandbox saw."""
    return [entry for entry in sandbox.log() if entry["method"] == "POST"]


def cost_in(answer: bytes) -> float:
    """The last cost that stands in an answer, plain or streamed."""
    return float(answer.rpartition(b'"cost":')[2].partition(b",")[0])


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("endpoint", BODIES)
def test_plain(gateway: Gateway, sandbox: Sandbox, endpoint: str, mount: str) -> None:
    """At every address, an answer has the bytes that OpenRouter sent, and its cost is known from them."""
    reply = ask(gateway, endpoint, mount=mount)

    (bill,) = sandbox.bill()["generations"]
    assert 200 == reply.status_code, reply.text
    assert bill["cost"] == reply.headers["x-orgate-response-cost"]
    assert float(bill["cost"]) == cost_in(reply.content) > 0
    assert bill["model"] == reply.headers["x-orgate-model"]


@pytest.mark.parametrize("endpoint", STREAMED)
def test_stream(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    """A stream has every byte that OpenRouter sent, the closing event with them."""
    reply = ask(gateway, endpoint, "openai/gpt-4o-mini", stream=True)
    body = {"model": "openai/gpt-4o-mini", **BODIES[endpoint], "stream": True}
    key = {"Authorization": "Bearer sk-or-v1-" + "a" * 64}
    direct = requests.post(sandbox.url + endpoint, json=body, headers=key, timeout=10).content

    assert ENDS[endpoint] in reply.content[-60:]
    kinds = [event.partition(b'"id"')[0][:40] for event in reply.content.split(b"\n\n") if b"data: " in event]
    assert [event.partition(b'"id"')[0][:40] for event in direct.split(b"\n\n") if b"data: " in event] == kinds


@pytest.mark.parametrize("endpoint", BODIES)
def test_body_untouched(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    """What needs no change reaches OpenRouter byte for byte."""
    raw = json.dumps({"model": "sandbox/ok", "odd": [1.50, "é"], **BODIES[endpoint]}, indent=3).encode()

    reply = gateway.request("POST", "/v1" + endpoint, data=raw, headers={"Content-Type": "application/json"})

    assert 200 == reply.status_code
    assert len(raw) == posts(sandbox)[0]["body_bytes"]


@pytest.mark.parametrize(
    ("endpoint", "stream"), [*((each, False) for each in BODIES), *((each, True) for each in STREAMED)]
)
def test_chain(gateway: Gateway, sandbox: Sandbox, endpoint: str, stream: bool) -> None:
    """Every style has its chain: the second model answers where the first cannot."""
    reply = ask(gateway, endpoint, "sandbox/status-500", models=["sandbox/ok"], **({"stream": True} if stream else {}))

    assert (200, "1") == (reply.status_code, reply.headers["x-orgate-attempted-fallbacks"])
    assert {"sandbox/status-500", "sandbox/ok"} == {entry["model"] for entry in posts(sandbox)}
    assert not any("models" in entry["body_keys"] for entry in posts(sandbox))


def test_fallbacks(gateway: Gateway, sandbox: Sandbox) -> None:
    """Anthropic's own `fallbacks` are a chain, which the gateway runs."""
    reply = ask(gateway, "/messages", "sandbox/429-upstream", fallbacks=[{"model": "sandbox/ok"}])

    assert (200, "sandbox/ok") == (reply.status_code, reply.json()["model"])
    assert not any("fallbacks" in entry["body_keys"] for entry in posts(sandbox))


@pytest.mark.parametrize("endpoint", STREAMED)
def test_chain_before_content(gateway: Gateway, endpoint: str) -> None:
    """A stream that errs before its content is replaced by the next model's, unseen."""
    reply = ask(gateway, endpoint, "sandbox/error-in-200", models=["sandbox/ok"], stream=True)

    assert ENDS[endpoint] in reply.content[-60:]
    assert b"rror" not in reply.content.replace(b'"error":null', b"")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("cut-2", "upstream_truncated"),
        ("cut-clean-2", "stream_incomplete"),
        ("garbage-stream-2", "upstream_protocol_error"),
        ("reset-mid-2", "upstream_truncated"),
    ],
)
@pytest.mark.parametrize("endpoint", STREAMED)
def test_broken_stream(gateway: Gateway, endpoint: str, fault: str, code: str) -> None:
    """A stream that breaks ends with an error event of its style, and without what closes a whole one."""
    reply = ask(gateway, endpoint, f"sandbox/{fault}", stream=True)

    assert_failed(endpoint, reply.content, code)


@pytest.mark.parametrize("fault", ["error-mid-2", "choice-error-2", "error-mid-recorded-2"])
@pytest.mark.parametrize("endpoint", ["/messages", "/responses"])
def test_error_in_stream(gateway: Gateway, endpoint: str, fault: str) -> None:
    """An error that OpenRouter tells inside a stream is passed on, and nothing that closes an answer follows it."""
    reply = ask(gateway, endpoint, f"sandbox/{fault}", stream=True)

    assert b"message_stop" not in reply.content
    assert b"response.completed" not in reply.content
    assert b"[DONE]" not in reply.content
    last = json.loads(reply.content.strip().rpartition(b"data: ")[2])
    assert last["type"] in ("error", "response.failed")


def assert_failed(endpoint: str, stream: bytes, code: str) -> None:
    """The stream had content and ended with its style's error event."""
    for end in (b"message_stop", b"response.completed", b"response.incomplete", b"[DONE]"):
        assert end not in stream
    told = json.loads(stream.strip().rpartition(b"data: ")[2])
    match endpoint:
        case "/messages":
            assert ("error", code) == (told["type"], told["error"]["error_type"])
            assert b"\nevent: error\n" in stream
        case "/responses":
            assert ("response.failed", code) == (told["type"], told["error"]["code"])
            assert "failed" == told["response"]["status"]
        case _:
            assert ("error", code) == (told["choices"][0]["finish_reason"], told["error"]["metadata"]["error_type"])


@pytest.mark.parametrize("endpoint", STREAMED)
@pytest.mark.parametrize("fault", ["cut-2", "error-mid-2", "garbage-stream-2"])
def test_whole_delivery(gateway: Gateway, sandbox: Sandbox, endpoint: str, fault: str) -> None:
    """Delivered whole, nothing of a broken answer is seen, and the next model answers in its place."""
    reply = ask(
        gateway,
        endpoint,
        f"sandbox/{fault}",
        models=["sandbox/ok"],
        stream=True,
        headers={"X-Orgate-Delivery": "whole"},
    )

    assert b"sandbox/ok" in reply.content
    assert fault.encode() not in reply.content
    assert ENDS[endpoint] in reply.content[-60:]


@pytest.mark.parametrize("endpoint", ["/responses", "/completions"])
def test_no_done(gateway: Gateway, endpoint: str) -> None:
    """An answer with its closing event is whole without [DONE], and gets it."""
    reply = ask(gateway, endpoint, "sandbox/no-done", stream=True)

    assert reply.content.endswith(b"data: [DONE]\n\n")


def test_no_message_stop(gateway: Gateway) -> None:
    """Without message_stop a message is not whole, whatever else was said."""
    assert_failed("/messages", ask(gateway, "/messages", "sandbox/no-done", stream=True).content, "stream_incomplete")


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize("fault", ["garbage", "no-choices", "empty", "wrong-type", "error-in-200", "cut-3"])
def test_no_answer(gateway: Gateway, endpoint: str, fault: str) -> None:
    """What is no answer of its style is an error status, never a 200; a message alone may say nothing."""
    reply = ask(gateway, endpoint, f"sandbox/{fault}", headers={"X-Orgate-Timeout": "5"})

    may_be_empty = fault == "no-choices" and endpoint in ("/messages", "/responses")
    assert (reply.status_code == 200) is (may_be_empty or fault == "wrong-type")


JSON = {"json": {}}
REFUSED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no token": ("POST", {**JSON, "token": None}, 401, "authentication_error"),
    "bad token": ("POST", {**JSON, "token": "nonsense"}, 401, "authentication_error"),
    "method": ("GET", {}, 405, "invalid_request_error"),
    "body": ("POST", JSON, 400, "invalid_request_error"),
    "type": ("POST", {"data": "x"}, 415, "invalid_request_error"),
    "host": ("POST", {**JSON, "headers": {"Host": "evil"}}, 421, "invalid_request_error"),
    "origin": ("POST", {**JSON, "headers": {"Origin": "https://x"}}, 403, "permission_error"),
}


@pytest.mark.parametrize("way", REFUSED)
@pytest.mark.parametrize("path", [f"{mount}/messages" for mount in MOUNTS] + ["/v1/messages/count_tokens"])
def test_errors_of_the_door(gateway: Gateway, path: str, way: str) -> None:
    """Whatever refuses a message, the door included, does it in Anthropic's shape."""
    method, given, status, kind = REFUSED[way]

    reply = gateway.request(method, path, **given)

    told = reply.json()
    assert (status, "error", kind) == (reply.status_code, told["type"], told["error"]["type"])
    assert told["error"]["message"]
    assert reply.headers["x-request-id"] == told["request_id"]


def test_quota(make_gateway: Callable[..., Gateway]) -> None:
    """A used-up quota is told in the style that met it."""
    gateway = make_gateway(orgate_rate_chat="1 per minute", openrouter_background_refresh="false")
    token = gateway.token()
    ask(gateway, "/messages", token=token)

    anthropic, openai = ask(gateway, "/messages", token=token), ask(gateway, "/responses", token=token)

    assert (429, "rate_limit_error") == (anthropic.status_code, anthropic.json()["error"]["type"])
    assert (429, "quota_exceeded") == (openai.status_code, openai.json()["error"]["code"])
    assert "Retry-After" in anthropic.headers


@pytest.mark.parametrize("endpoint", BODIES)
def test_budget(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    """A budget that an answer could exceed refuses it in every style, and nothing is sent."""
    gateway.services.models.kept.get()
    token = gateway.token(budgets={"day": 50})
    big = {"/embeddings": {"input": "word " * 5000}}.get(endpoint, {})

    reply = ask(gateway, endpoint, "openai/gpt-4o" if not big else "openai/text-embedding-3-small", token=token, **big)

    assert (402, "false") == (reply.status_code, reply.headers["x-should-retry"])
    assert "budget_exceeded" in reply.text
    assert [] == posts(sandbox)


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [("/messages", "max_tokens"), ("/responses", "max_output_tokens"), ("/completions", "max_tokens")],
)
def test_clamp(gateway: Gateway, sandbox: Sandbox, endpoint: str, field: str) -> None:
    """What the account cannot pay for is asked once more, as short as it can, by the style's own field."""
    sandbox.account(total_credits="7.43")

    reply = ask(gateway, endpoint, "openai/gpt-4o", headers={"X-Orgate-Clamp": "1"}, **{field: 16_000})

    assert 200 == reply.status_code, reply.text
    assert [402, 200] == [entry["status"] for entry in posts(sandbox)]


@pytest.mark.parametrize("endpoint", BODIES)
def test_token_models(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    """A token's list of models holds in every style."""
    reply = ask(gateway, endpoint, token=gateway.token(models=("openai/*",)))

    assert 403 == reply.status_code
    assert [] == posts(sandbox)


@pytest.mark.parametrize("endpoint", BODIES)
def test_preferences(gateway: Gateway, endpoint: str) -> None:
    """Provider preferences are translated, and unknown ones refused, in every style."""
    good = ask(gateway, endpoint, provider={"quantization": ["fp16"]})
    bad = ask(gateway, endpoint, provider={"colour": "red"})

    assert (200, 400) == (good.status_code, bad.status_code)


@pytest.mark.parametrize("endpoint", BODIES)
def test_pause(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    """A paused program is refused in every style."""
    gateway.services.relay.pause("tester")

    assert 503 == ask(gateway, endpoint).status_code
    assert [] == posts(sandbox)


@pytest.mark.parametrize("short", ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"])
@pytest.mark.parametrize("endpoint", ["/messages", "/responses"])
def test_short_claude(gateway: Gateway, sandbox: Sandbox, endpoint: str, short: str) -> None:
    """The ids that Claude Code sends by itself become OpenRouter's, in the token's list as well."""
    token = gateway.token(models=("anthropic/claude-sonnet-4.5",))

    reply = ask(gateway, endpoint, short, token=token)

    assert 200 == reply.status_code, reply.text
    assert "anthropic/claude-sonnet-4.5" == posts(sandbox)[0]["model"]


def test_unknown_claude(gateway: Gateway, sandbox: Sandbox) -> None:
    """One that the catalogue lacks stays as it is, and OpenRouter refuses it by that name."""
    reply = ask(gateway, "/messages", "claude-3-5-haiku-20241022")

    assert (400, "claude-3-5-haiku-20241022") == (reply.status_code, posts(sandbox)[0]["model"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "elder", "content": "Hello"}]}, "messages[0].role"),
        ({"provider": {"favourite": "x"}}, "provider.favourite"),
    ],
)
def test_count_tokens_of_nothing(gateway: Gateway, fields: dict[str, Any], param: str) -> None:
    """Only what could be sent is counted: the rest is refused as /messages refuses it."""
    body = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hello"}], **fields}

    replies = [gateway.request("POST", f"/v1/{path}", json=body) for path in ("messages", "messages/count_tokens")]

    assert [(400, f"{param}")] * 2 == [(reply.status_code, reply.json()["error"].get("param")) for reply in replies]


def test_count_tokens(gateway: Gateway, sandbox: Sandbox) -> None:
    """Tokens are counted here, since OpenRouter does not count them: nothing is sent."""
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hello, how are you?"}]}

    reply = gateway.request("POST", "/v1/messages/count_tokens?beta=true", json=body)

    assert 200 == reply.status_code
    assert 8 <= reply.json()["input_tokens"] <= 14
    assert "true" == reply.headers["x-orgate-estimated"]
    assert [] == posts(sandbox)


def test_claude_codes_address(gateway: Gateway) -> None:
    """With the address alone, or with /api behind it, Claude Code's paths, query and headers are served."""
    token = gateway.token()
    for base in ("", "/api"):
        body = {"model": "sandbox/ok", **BODIES["/messages"]}
        headers = {"x-api-key": token, "anthropic-version": "2023-06-01"}
        reply = gateway.request("POST", f"{base}/v1/messages?beta=true", json=body, headers=headers, token=None)

        assert (200, "message") == (reply.status_code, reply.json()["type"])


def test_embeddings_are_held_by_their_price(gateway: Gateway) -> None:
    """An embedding's hold is what its catalogue says, not the sum for unknown prices."""
    token = gateway.token(budgets={"day": 1_000_000})

    reply = ask(gateway, "/embeddings", "openai/text-embedding-3-small", token=token)

    assert 200 == reply.status_code, reply.text


@pytest.mark.parametrize("endpoint", BODIES)
def test_price_ceiling(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    """A token's price ceiling refuses what the catalogue knows to be too dear, in every style."""
    gateway.services.models.kept.get()
    model = "openai/text-embedding-3-small" if endpoint == "/embeddings" else "openai/gpt-4o"
    gateway.services.models.know("/embeddings/models")

    reply = ask(gateway, endpoint, model, token=gateway.token(max_price={"prompt": "0.001"}))

    assert (403, []) == (reply.status_code, posts(sandbox))
    assert "0.001" in reply.text


@pytest.mark.parametrize(
    ("endpoint", "name", "cost"),
    [
        ("/responses", "responses_stream", "0.0000825"),
        ("/responses", "responses_reasoning", "0.0000113"),
        ("/embeddings", "embeddings", "0.00000014"),
    ],
)
def test_recorded(gateway: Gateway, sandbox: Sandbox, endpoint: str, name: str, cost: str) -> None:
    """Recorded answers pass byte for byte, and their cost is in the ledger."""
    stream = {} if name == "embeddings" else {"stream": True}
    headers = {"Authorization": "Bearer sk-or-v1-" + "a" * 64}
    body = {"model": f"sandbox/recorded-{name}", **BODIES[endpoint], **stream}
    direct = requests.post(sandbox.url + endpoint, json=body, headers=headers, timeout=10).content

    reply = ask(gateway, endpoint, f"sandbox/recorded-{name}", **stream)

    assert direct == reply.content
    assert cost == gateway.get("/usage").json()["total_cost"]
