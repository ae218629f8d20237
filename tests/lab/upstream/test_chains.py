from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.upstream import plays
from tests.lab.upstream.lab import Lab, assert_answered
from tests.lab.upstream.plays import JSON, good, refusing
from tests.lab.upstream.wire import Peer

DAILY = refusing(
    429,
    {"X-RateLimit-Reset": "9999999999999", "X-RateLimit-Remaining": "0"},
    metadata={"limit_source": "openrouter_free_tier_daily"},
)


def test_nothing_of_the_chain_reaches_openrouter(lab: Lab) -> None:
    """OpenRouter gets one model per attempt, and neither `models` nor `route`; the rest is what the app sent."""
    bad, other = lab.model(refusing(404)), lab.model(good)

    seen = lab.ask(bad, other, route="fallback", temperature=0.5, custom={"kept": [1, None]})

    assert_answered(seen, fallbacks=1)
    message = {"role": "user", "content": "Hello"}
    sent = {"messages": [message], "stream": False, "temperature": 0.5, "custom": {"kept": [1, None]}}
    assert [{**sent, "model": bad}, {**sent, "model": other}] == [
        post.json for post in lab.upstream.posts_for(bad, other)
    ]


def test_models_without_model(lab: Lab) -> None:
    """A chain may stand in `models` alone, and a model that is named twice is one."""
    bad, other = lab.model(refusing(404)), lab.model(good)

    seen = lab.ask(bad, bad, other, bad)

    assert_answered(seen, fallbacks=1)
    assert [bad, other] == lab.sent(bad, other)


def test_quantization(lab: Lab) -> None:
    """The document's `quantization` arrives as OpenRouter's `quantizations`."""
    model = lab.model(good)

    seen = lab.ask(model, provider={"quantization": ["fp8"], "order": ["Lab"]})

    assert_answered(seen)
    assert {"quantizations": ["fp8"], "order": ["Lab"]} == lab.upstream.posts_for(model)[0].json["provider"]


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "preference": ("provider.speed", {"provider": {"speed": "fast"}}),
    "eleven": ("models", {"models": [f"lab/{number}" for number in range(10)]}),
    "router": ("models", {"model": "openrouter/auto", "models": ["lab/a"]}),
    "router-within": ("models", {"models": ["openrouter/auto"]}),
    "delivery": ("X-Orgate-Delivery", {"headers": {"X-Orgate-Delivery": "half"}}),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("why", REFUSED)
def test_refused_before_anything_is_sent(lab: Lab, why: str, stream: bool) -> None:
    """A chain or a preference that cannot be is refused with the name of the field, and nothing is sent."""
    param, body = REFUSED[why]
    before = len(lab.upstream.posts)

    response = lab.gateway.chat(**{"model": "lab/never", "token": lab.token, "stream": stream, **body})

    assert (400, param) == (response.status_code, response.json()["error"]["param"])
    assert before == len(lab.upstream.posts)


def test_router_alone(lab: Lab) -> None:
    """The auto router by itself passes, with its settings."""
    model = lab.model(good, name="openrouter/auto")
    plugins = [{"id": "auto-router", "allowed_models": ["lab/*"]}]

    assert_answered(lab.ask(model, plugins=plugins))
    assert plugins == lab.upstream.posts_for(model)[0].json["plugins"]


def test_ten_models(lab: Lab) -> None:
    """All of ten models are tried, in their order."""
    models = [*(lab.model(refusing(404)) for _ in range(9)), lab.model(good)]

    seen = lab.ask(*models)

    assert_answered(seen, fallbacks=9)
    assert models == lab.sent(*models)
    lab.check(seen, *models)


def test_twelve_sends(lab: Lab) -> None:
    """No call makes more than twelve sends, and no model gets more than three of them."""
    models = [lab.model(refusing(503, {"Retry-After": "0"})) for _ in range(6)]

    seen = lab.ask(*models)

    assert (503, "service_unavailable", "upstream_overloaded", "false") == seen.refusal
    assert [model for model in models[:4] for _ in range(3)] == lab.sent(*models) == lab.told(seen)
    lab.check(seen, *models)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_free_daily_limit(lab: Lab, stream: bool) -> None:
    """The free tier's limit is one for all free models: it is not repeated, and only a paid model is asked next."""
    free, other_free, paid = lab.model(DAILY, suffix=":free"), lab.model(good, suffix=":free"), lab.model(good)

    seen = lab.ask(free, other_free, paid, stream=stream)

    assert_answered(seen, fallbacks=1)
    assert [free, paid] == lab.sent(free, other_free, paid)
    lab.check(seen, free, other_free, paid)


def test_free_daily_limit_alone(lab: Lab) -> None:
    """Among free models only it is told at once, with the time until the reset."""
    free, other_free = lab.model(DAILY, suffix=":free"), lab.model(good, suffix=":free")

    seen = lab.ask(free, other_free)

    assert (429, "rate_limit_error", "upstream_rate_limited", "false") == seen.refusal
    assert int(seen.headers["Retry-After"]) > 86_400
    assert [free] == lab.sent(free, other_free)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_no_money(make_lab: Callable[..., Lab], stream: bool) -> None:
    """An account without money goes on to a free model of the chain, past the paid ones."""
    lab = make_lab()
    paid, other_paid, free = lab.model(refusing(402)), lab.model(good), lab.model(good, suffix=":free")

    seen = lab.ask(paid, other_paid, free, stream=stream)

    assert_answered(seen, fallbacks=1)
    assert [paid, free] == lab.sent(paid, other_paid, free)
    lab.check(seen, paid, other_paid, free)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_too_long(make_lab: Callable[..., Lab], stream: bool) -> None:
    """A prompt that is too long for one model goes to a larger one, and to no other."""
    lab = make_lab()
    too_long = refusing(400, metadata={"error_type": "context_length_exceeded"})
    first, small, same, large = (lab.model(too_long if not size else good) for size in range(4))
    sizes = {first: 8000, small: 4000, same: 8000, large: 32_000}
    catalogue = {"data": [{"id": model, "context_length": size} for model, size in sizes.items()]}
    lab.upstream.gets["/api/v1/models"] = plays.whole(200, JSON, json.dumps(catalogue).encode())
    assert 200 == lab.gateway.get("/models").status_code

    seen = lab.ask(*sizes, stream=stream)
    nowhere = lab.ask(first, small, same, stream=stream)

    assert_answered(seen, fallbacks=1)
    assert (400, "context_length_exceeded") == (nowhere.status, nowhere.error["code"])
    assert [first, large, first] == lab.sent(*sizes)


def test_every_model_fails(lab: Lab) -> None:
    """When all fail the app has the last error, and every attempt with its reason."""
    models = [lab.model(play) for play in (refusing(404), Peer.reset, refusing(500))]

    seen = lab.ask(*models)

    assert (502, "model_error", "upstream_error", "false") == seen.refusal
    told = [(tried["model"], tried["status"], tried["reason"]) for tried in seen.error["details"]["attempts"]]
    assert [
        (models[0], 404, "upstream_not_found"),
        (models[1], 504, "outcome_unknown"),
        (models[2], 502, "upstream_error"),
        (models[2], 502, "upstream_error"),
    ] == told
    lab.check(seen, *models)
