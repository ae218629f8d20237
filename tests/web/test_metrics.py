from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.sandbox import Sandbox
from tests.gateway import KEY, Gateway, running_gateway
from tests.lab.client.lab import comes_true

PROMPT = "CANARY-PROMPT: what do you know of me?"


def scraped(gateway: Gateway) -> str:
    """The text of the metrics."""
    token = gateway.token("scraper", quotas={"models": "1000 per minute"})
    return gateway.request("GET", "/metrics", token=token).text


def values(text: str, name: str, **labels: str) -> list[float]:
    """The samples of one name that have these labels."""
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def test_calls(gateway: Gateway) -> None:
    """Calls, their attempts, tokens and times are told as they were."""
    token = gateway.token("editor")
    plain = gateway.chat("openai/gpt-4o-mini", token=token)
    assert gateway.chat("openai/gpt-4o-mini", stream=True, token=token).content
    assert 200 == gateway.chat("sandbox/empty", models=["openai/gpt-4o-mini"], token=token).status_code
    assert 401 == gateway.chat("sandbox/status-401", token=token).status_code

    text = scraped(gateway)

    mini = {"app": "editor", "model": "openai/gpt-4o-mini"}
    assert "openai/gpt-4o-mini" == plain.headers["x-orgate-model"]
    assert [3] == values(text, "orgate_requests_total", status="200", **mini)
    assert [1] == values(text, "orgate_requests_total", status="401", model="sandbox/status-401")
    assert [3] == values(text, "orgate_request_duration_seconds_count", stream="false", endpoint="/chat/completions")
    assert [1] == values(text, "orgate_time_to_first_content_seconds_count", stream="true")
    assert [3] == values(text, "orgate_overhead_seconds_count")
    assert 0 < values(text, "orgate_overhead_seconds_sum")[0] < 3
    assert [3] == values(text, "orgate_attempts_total", model="openai/gpt-4o-mini", outcome="answered")
    assert [1] == values(text, "orgate_attempts_total", model="sandbox/empty")
    assert [1] == values(text, "orgate_fallbacks_total")
    assert values(text, "orgate_tokens_total", type="prompt", **mini)[0] >= 3 * plain.json()["usage"]["prompt_tokens"]


def test_content_type(gateway: Gateway) -> None:
    """The answer is Prometheus's text format and says so."""
    reply = gateway.request("GET", "/metrics")

    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (reply.status_code, reply.headers["Content-Type"])
    assert "no-store" == reply.headers["Cache-Control"]


def test_costs(sandbox: Sandbox, tmp_path: Path) -> None:
    """What calls have cost is told by app and model, and after a restart the sum of each app has not fallen."""
    with running_gateway(sandbox, tmp_path / "lasting", openrouter_background_refresh="false") as gateway:
        cost = gateway.chat("openai/gpt-4o-mini", token=gateway.token("editor")).json()["usage"]["cost"]
        before = scraped(gateway)
    with running_gateway(sandbox, tmp_path / "lasting", openrouter_background_refresh="false") as gateway:
        restored = scraped(gateway)
        gateway.chat("openai/gpt-4o-mini", token=gateway.token("editor"))
        after = scraped(gateway)

    assert [pytest.approx(cost)] == values(
        before, "orgate_cost_dollars_total", app="editor", model="openai/gpt-4o-mini"
    )
    assert [pytest.approx(cost)] == values(restored, "orgate_cost_dollars_total", app="editor")
    assert pytest.approx(2 * cost) == sum(values(after, "orgate_cost_dollars_total", app="editor"))
    assert [0] == values(after, "orgate_held_dollars") == values(after, "orgate_unsettled_dollars")


def test_budgets(gateway: Gateway) -> None:
    """What an app's budget has left is told, and when it is new."""
    token = gateway.token("editor", budgets={"day": 10**9})
    cost = gateway.chat("openai/gpt-4o-mini", token=token).json()["usage"]["cost"]

    text = scraped(gateway)

    assert [pytest.approx(1 - cost)] == values(text, "orgate_budget_remaining_dollars", app="editor", period="day")
    assert 0 < values(text, "orgate_budget_reset_hours", app="editor", period="day")[0] <= 24


def test_running_calls(gateway: Gateway) -> None:
    """Calls in flight are those that run at the moment of the scrape."""
    before = values(scraped(gateway), "orgate_requests_in_flight")
    running = gateway.chat("sandbox/drip-200", stream=True)

    during = values(scraped(gateway), "orgate_requests_in_flight")
    running.close()

    assert ([0], [1]) == (before, during)
    assert comes_true(lambda: [0] == values(scraped(gateway), "orgate_requests_in_flight"))


@pytest.mark.parametrize(("mode", "balance"), [("normal", [17.58]), ("forbidden", []), ("zero", [])])
def test_balance(gateway: Gateway, sandbox: Sandbox, mode: str, balance: list[float]) -> None:
    """The balance is the one that /credits tells; an unknown one is absent, never 0, also where the key has a limit."""
    sandbox.account(credits=mode, key_limit="12.50")
    unasked = scraped(gateway)
    gateway.get("/credits")

    text = scraped(gateway)

    assert [] == values(unasked, "orgate_balance_dollars") == values(unasked, "orgate_key_limit_remaining_dollars")
    assert balance == values(text, "orgate_balance_dollars")
    assert [12.5] == values(text, "orgate_key_limit_remaining_dollars")


def test_scrapes_ask_nobody(gateway: Gateway, sandbox: Sandbox) -> None:
    """Whoever scrapes causes no request to OpenRouter."""
    scraped(gateway)

    assert [] == sandbox.log()


def test_open_breakers(gateway: Gateway, sandbox: Sandbox) -> None:
    """A model that rests is told, and so is a refused key, which stops everything."""
    for _ in range(3):
        gateway.chat("sandbox/empty", models=["sandbox/ok"])
    sandbox.account(revoked=[KEY[-4:]])
    gateway.chat("sandbox/ok")

    text = scraped(gateway)

    assert [1] == values(text, "orgate_breaker_open", model="sandbox/empty")
    assert [1] == values(text, "orgate_breaker_open", model="(everything)")


def test_no_secret(gateway: Gateway) -> None:
    """No key, no token and nothing of what was said stands in the metrics, whatever an app calls its model."""
    token = gateway.token("editor")
    for model in ("sandbox/ok", PROMPT, KEY, f"a/{KEY}", token, f"a/{token}"):
        gateway.chat(model, PROMPT, token=token, user=PROMPT)

    text = scraped(gateway)

    assert [1] == values(text, "orgate_requests_total", status="200")
    assert [] == [word for word in ("CANARY", "what do you know", KEY[9:], *token.split(".")) if word in text]


def test_scope(gateway: Gateway) -> None:
    """Only a token with the scope "usage" sees them: they tell what every app spends."""
    replies = [
        gateway.request("GET", "/metrics", token=gateway.token("a", scopes=["usage"])),
        gateway.request("GET", "/metrics", token=gateway.token("b", scopes=["chat", "models", "credits"])),
        gateway.request("GET", "/metrics", token=None),
    ]

    assert [200, 403, 401] == [reply.status_code for reply in replies]


def test_root_only(gateway: Gateway) -> None:
    """They stand at the root, where scrapers look, and not among OpenRouter's addresses."""
    assert [404] * 3 == [
        gateway.request("GET", f"{at}/metrics").status_code for at in ("/v1", "/api/v1", "/api/openrouter")
    ]


def test_quota(make_gateway: Callable[..., Gateway]) -> None:
    """A scrape counts against the quota of short requests."""
    gateway = make_gateway(orgate_rate_models="1 per minute", openrouter_background_refresh="false")
    token = gateway.token()

    assert [200, 429] == [gateway.request("GET", "/metrics", token=token).status_code for _ in range(2)]
