"""Answers from the cache through the HTTP interface, with the sandbox's bill and log as witnesses."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests

from app.core.catalogue import Query
from app.core.money import NANO
from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import rows
from tests.agents import write
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true
from tests.web.test_metrics import scraped, values

HOUR = {"X-Orgate-Cache": "3600"}
MODEL = "openai/gpt-4o-mini"
EMBEDDER = "openai/text-embedding-3-small"
BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
    "/messages": {"model": MODEL, "max_tokens": 90, "messages": [{"role": "user", "content": "Hello"}]},
    "/responses": {"model": MODEL, "input": "Hello"},
    "/completions": {"model": MODEL, "prompt": "Hello"},
    "/embeddings": {"model": EMBEDDER, "input": ["Hello", "you"], "dimensions": 4},
}
KINDS = [*((style, False) for style in BODIES), *((style, True) for style in BODIES if style != "/embeddings")]
RUN = {"type": "function", "function": {"name": "run", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway that asks OpenRouter for nothing by itself, and has the catalogue at hand."""
    gateway = make_gateway(openrouter_background_refresh="false")
    gateway.services.models.get(Query())
    return gateway


def _sent(sandbox: Sandbox) -> int:
    return sum(entry["method"] == "POST" for entry in sandbox.log())


def _told(reply: requests.Response) -> str | None:
    assert 200 == reply.status_code, reply.text
    assert reply.content
    return reply.headers.get("x-orgate-cache")


def _ask(gateway: Gateway, endpoint: str, token: str, *, stream: bool = False, **more: Any) -> requests.Response:
    headers = {**HOUR, **more.pop("headers", {})}
    body = {**BODIES[endpoint], **({"stream": True} if stream else {}), **more}
    return gateway.request("POST", f"/v1{endpoint}", token=token, headers=headers, json=body)


def _chat(gateway: Gateway, token: str, model: str = MODEL, text: str = "Hello", **more: Any) -> requests.Response:
    """A chat that asks for the cache, read to its end."""
    reply = gateway.chat(model, text, token=token, **{"headers": HOUR, **more})
    assert reply.content
    return reply


def _spent(gateway: Gateway) -> Decimal:
    gateway.services.ledger.flush()
    return sum((Decimal(row["cost"]) for row in rows(gateway.folder / "ledger.db")), Decimal(0)) / NANO


@pytest.mark.parametrize(("endpoint", "stream"), KINDS)
def test_hit(gateway: Gateway, sandbox: Sandbox, endpoint: str, stream: bool) -> None:
    """
    In every style, plain and streamed, the same call is answered byte for byte from the cache: nothing is sent, held
    or billed, and the answer says so.
    """
    token = gateway.token("notes")

    first, second = (_ask(gateway, endpoint, token, stream=stream) for _ in range(2))

    (bill,) = sandbox.bill()["generations"]
    assert ("miss", "hit") == (_told(first), _told(second))
    assert first.content == second.content
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert (None, "0") == (first.headers.get("Age"), second.headers["Age"])
    assert "0" == second.headers["x-orgate-response-cost"]
    assert bill["model"] == second.headers["x-orgate-model"]
    assert first.headers["x-orgate-call-id"] != second.headers["x-orgate-call-id"]
    assert 1 == _sent(sandbox)
    assert 1 == len(rows(gateway.folder / "ledger.db"))
    assert Decimal(bill["cost"]) == _spent(gateway)


def test_off_by_default(gateway: Gateway, sandbox: Sandbox) -> None:
    """Without the header nothing comes from the cache, goes into it, or speaks of it."""
    token = gateway.token()

    replies = [gateway.chat(MODEL, token=token) for _ in range(2)]
    asked = _chat(gateway, token)

    assert [None, None] == [_told(reply) for reply in replies]
    assert "miss" == _told(asked)
    assert 3 == len(sandbox.bill()["generations"])


def test_wish_of_a_token(gateway: Gateway, sandbox: Sandbox) -> None:
    """A token may wish for the cache; a call's own header goes before."""
    token = gateway.token("tests", wishes={"cache": "60"})

    told = [_told(_chat(gateway, token, headers=more)) for more in ({}, {}, {"X-Orgate-Cache": "0"}, {})]

    assert ["miss", "hit", "miss", "hit"] == told
    assert 2 == len(sandbox.bill()["generations"])


def test_anew(gateway: Gateway) -> None:
    """With 0 the call is made anew, and its answer takes the place of the one before."""
    token = gateway.token()
    old = _chat(gateway, token)

    new = _chat(gateway, token, headers={"X-Orgate-Cache": "0"})
    again = _chat(gateway, token)

    assert ("miss", "hit") == (_told(new), _told(again))
    assert old.content != new.content == again.content


def test_other_app(gateway: Gateway, sandbox: Sandbox) -> None:
    """The answers of one app are not another's; two tokens of one app share them."""
    told = [_told(_chat(gateway, gateway.token(app))) for app in ("one", "two", "one")]

    assert ["miss", "miss", "hit"] == told
    assert 2 == len(sandbox.bill()["generations"])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"text": "Hello!"}, id="text"),
        pytest.param({"temperature": 0}, id="temperature"),
        pytest.param({"odd": None}, id="unknown field"),
        pytest.param({"stream": True}, id="stream"),
        pytest.param({"stream": False}, id="stream said"),
        pytest.param({"models": ["openai/gpt-4o"]}, id="chain"),
        pytest.param({"provider": {"data_collection": "deny"}}, id="provider preferences"),
    ],
)
def test_other_call(gateway: Gateway, other: dict[str, Any]) -> None:
    """Whatever is different in a request, it is another call."""
    token = gateway.token()
    _told(_chat(gateway, token))

    assert "miss" == _told(_chat(gateway, token, **other))


def test_same_call(gateway: Gateway) -> None:
    """White space and the order of members do not make another call."""
    token = gateway.token()
    body = BODIES["/chat/completions"]
    whole, turned = json.dumps(body, indent=2), json.dumps(dict(reversed(body.items())))
    kind = {"Content-Type": "application/json", **HOUR}

    told = [
        _told(gateway.request("POST", "/v1/chat/completions", token=token, headers=kind, data=text))
        for text in (whole, turned)
    ]

    assert ["miss", "hit"] == told


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"tools": [RUN]}, id="tools"),
        pytest.param({"tools": [{"type": "openrouter:web_search"}]}, id="server tool"),
        pytest.param({"plugins": [{"id": "web"}]}, id="plugin"),
        pytest.param({"tool_choice": "none"}, id="tool_choice"),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is it?"},
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        ],
                    }
                ]
            },
            id="image",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_never(gateway: Gateway, sandbox: Sandbox, body: dict[str, Any], stream: bool) -> None:
    """Calls with tools or images are always made, and told that the cache was not used."""
    token = gateway.token()
    replies = [_chat(gateway, token, stream=stream, **body) for _ in range(2)]

    assert ["bypass", "bypass"] == [_told(reply) for reply in replies]
    assert 2 == len(sandbox.bill()["generations"])


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_cut_at_max_tokens(gateway: Gateway, sandbox: Sandbox, stream: bool) -> None:
    """An answer that was cut at max_tokens is not kept."""
    token = gateway.token()
    replies = [_chat(gateway, token, stream=stream, max_tokens=1) for _ in range(2)]

    assert ["miss", "miss"] == [_told(reply) for reply in replies]
    assert all(b'"finish_reason":"length"' in reply.content for reply in replies)


@pytest.mark.parametrize("fault", ["cut-2", "cut-clean-2", "error-mid-2", "choice-error-2", "garbage-stream-2"])
def test_broken_stream(gateway: Gateway, sandbox: Sandbox, fault: str) -> None:
    """A stream that broke is not kept."""
    token = gateway.token()
    told = [_told(_chat(gateway, token, f"sandbox/{fault}", stream=True)) for _ in range(2)]

    assert ["miss", "miss"] == told
    assert 2 == _sent(sandbox)


@pytest.mark.parametrize("model", ["sandbox/no-done", "sandbox/crlf", "sandbox/utf8-split", "sandbox/after-done"])
@pytest.mark.parametrize("delivery", ["live", "whole"])
def test_odd_stream(gateway: Gateway, sandbox: Sandbox, model: str, delivery: str) -> None:
    """A stream that is whole is given again as it was given, whatever it looked like."""
    token, headers = gateway.token(), {**HOUR, "X-Orgate-Delivery": delivery}
    first, second = (_chat(gateway, token, model, headers=headers, stream=True) for _ in range(2))

    assert ("miss", "hit") == (_told(first), _told(second))
    assert first.content == second.content
    assert second.content.rstrip().endswith(b"[DONE]")
    assert 1 == _sent(sandbox)


def test_error_is_not_kept(gateway: Gateway, sandbox: Sandbox) -> None:
    """An error is told each time anew."""
    token = gateway.token()
    replies = [_chat(gateway, token, "sandbox/404-no-endpoints") for _ in range(2)]

    assert [404, 404] == [reply.status_code for reply in replies]
    assert 2 == _sent(sandbox)


def test_keep_alives_are_not_kept(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """What the gateway said to keep a connection alive is no part of the answer that is given again."""
    monkeypatch.setattr("app.services.company.HOLD_S", 0.05)
    token = gateway.token()
    first, second = (_chat(gateway, token, "sandbox/delay-500", stream=True) for _ in range(2))

    comment = b": orgate is waiting"
    assert ("miss", "hit") == (_told(first), _told(second))
    assert comment in first.content
    assert comment not in second.content
    assert first.content.endswith(second.content)


def test_chain(gateway: Gateway, sandbox: Sandbox) -> None:
    """A chain's answer is that of the whole chain; the hit names the model that gave it."""
    token = gateway.token()
    first, second = (_chat(gateway, token, "sandbox/status-500", models=["sandbox/ok"]) for _ in range(2))

    assert ("miss", "hit") == (_told(first), _told(second))
    assert "sandbox/ok" == second.headers["x-orgate-model"]
    assert ("1", "0") == tuple(reply.headers["x-orgate-attempted-fallbacks"] for reply in (first, second))


def test_paused(gateway: Gateway) -> None:
    """A paused app gets nothing from the cache."""
    token = gateway.token("notes")
    _told(_chat(gateway, token))
    gateway.services.relay.pause("notes")

    reply = _chat(gateway, token)
    gateway.services.relay.resume("notes")

    assert (503, "paused") == (reply.status_code, reply.json()["error"]["code"])
    assert "hit" == _told(_chat(gateway, token))


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ({"models": ["anthropic/*"]}, "model_not_allowed"),
        ({"max_price": {"prompt": "0", "completion": "0"}}, "model_too_dear"),
    ],
)
def test_limits_come_first(gateway: Gateway, limit: dict[str, Any], code: str) -> None:
    """What a token may no longer use it is not given from the cache either."""
    token = gateway.token("notes")
    _told(_chat(gateway, token))
    gateway.services.office.change("notes", **limit)

    reply = _chat(gateway, token)

    assert (403, code) == (reply.status_code, reply.json()["error"]["code"])


def test_revoked(gateway: Gateway) -> None:
    """A revoked token gets nothing."""
    token = gateway.token("notes")
    _told(_chat(gateway, token))
    gateway.services.office.revoke("notes")

    assert 401 == _chat(gateway, token).status_code


def test_quota_and_budget(make_gateway: Callable[..., Gateway]) -> None:
    """A hit makes no attempt: it counts nothing towards the quota, and costs nothing that a budget could refuse."""
    gateway = make_gateway(openrouter_background_refresh="false", orgate_rate_chat="1 per 1 hour")
    token = gateway.token("notes")
    _told(_chat(gateway, token))
    gateway.services.office.change("notes", budgets={"day": 0})

    hits = [_chat(gateway, token) for _ in range(3)]

    assert ["hit"] * 3 == [_told(reply) for reply in hits]
    assert "0" == hits[-1].headers["X-RateLimit-Remaining"]
    assert 429 == _chat(gateway, token, text="Other").status_code


def test_agent(gateway: Gateway, sandbox: Sandbox) -> None:
    """An agent's answers are given again until the agent is changed; its tools keep it from the cache."""
    token = gateway.token()

    def asked(text: str) -> str | None:
        write(gateway.folder, "helper", f'name = "Helper"\nmodel = "{MODEL}"\n{text}\n')
        gateway.services.agents._next_look = 0.0
        reply = _chat(gateway, token, "agent/helper")
        assert "helper" == reply.headers["x-orgate-agent"]
        return _told(reply)

    kind, curt = 'systemPrompt = "Be kind."', 'systemPrompt = "Be very curt."'

    assert ["miss", "hit", "miss", "hit"] == [asked(text) for text in (kind, kind, curt, kind)]
    assert ["bypass", "bypass"] == [asked('tools = ["web_search"]')] * 2
    assert ["miss", "miss"] == [asked(text) for text in ("temperature = 0.5", "temperature = 0.6")]


def test_idempotent(gateway: Gateway, sandbox: Sandbox) -> None:
    """A call with a key may be answered from the cache, and then keeps that answer."""
    token = gateway.token()
    first = _chat(gateway, token)

    keyed = [_chat(gateway, token, headers={**HOUR, "Idempotency-Key": "k"}) for _ in range(2)]

    assert {first.content} == {reply.content for reply in keyed}
    assert ("hit", "true") == (_told(keyed[1]), keyed[1].headers["Idempotency-Replayed"])
    assert 1 == _sent(sandbox)


def test_told(gateway: Gateway) -> None:
    """The call's story and the metrics tell of hits; tokens that were not used are not counted."""
    token = gateway.token("notes")
    first, second = (_chat(gateway, token) for _ in range(2))

    stories = [
        gateway.get(f"/calls/{reply.headers['x-orgate-call-id']}", token=token).json() for reply in (first, second)
    ]
    text = scraped(gateway)

    assert [("miss", None), ("hit", 0)] == [
        (story["cache"], story["cache_age_s"] and int(story["cache_age_s"])) for story in stories
    ]
    assert ("answered", "0", []) == tuple(stories[1][name] for name in ("outcome", "cost", "attempts"))
    assert stories[0]["generation_id"] == stories[1]["generation_id"]
    assert [1.0] == values(text, "orgate_cache_total", app="notes", found="hit")
    assert [1.0] == values(text, "orgate_cache_total", app="notes", found="miss")
    prompt_tokens = first.json()["usage"]["prompt_tokens"]
    assert [prompt_tokens] == values(text, "orgate_tokens_total", app="notes", type="prompt")
    assert [1.0] == values(text, "orgate_attempts_total")


def test_app_that_leaves_early(gateway: Gateway, sandbox: Sandbox) -> None:
    """A stream that its app left before the end is not kept."""
    token = gateway.token()
    body = {"model": "sandbox/drip-50", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    with requests.post(
        f"{gateway.base_url}/v1/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {token}", **HOUR},
        stream=True,
        timeout=10,
    ) as reply:
        assert next(reply.iter_content(16))
    assert comes_true(lambda: not gateway.services.relay._running)

    assert "miss" == _told(_chat(gateway, token, "sandbox/drip-50", stream=True))


@pytest.mark.parametrize("value", ["on", "-1", "1e3", "90000"])
def test_bad_header(gateway: Gateway, sandbox: Sandbox, value: str) -> None:
    """A time that cannot be meant is refused before anything is sent."""
    reply = gateway.chat(MODEL, headers={"X-Orgate-Cache": value})

    assert (400, "X-Orgate-Cache") == (reply.status_code, reply.json()["error"]["param"])
    assert 0 == _sent(sandbox)
