from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def message(reply: requests.Response) -> str:
    return reply.json()["error"]["message"]


def test_keys(sandbox, session):
    """
    No key and a foreign key are refused as recorded, a revoked one like an unknown one.
    """
    session.headers["Authorization"] = ""
    missing = session.get(f"{sandbox.url}/key")
    session.headers["Authorization"] = "Bearer sk-proj-1"
    foreign = session.get(f"{sandbox.url}/key")
    session.headers["Authorization"] = "Bearer sk-or-v1-0000"
    sandbox.account(revoked=["0000"])
    revoked = session.get(f"{sandbox.url}/key")

    assert (SAMPLES / "error_401_2026-06-08.body.json.txt").read_bytes() == missing.content
    assert "User not found." == message(foreign) == message(revoked)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"messages": None}, 400, "Input required"),
        ({"messages": []}, 400, "Invalid input"),
        ({"messages": [{"role": "wizard"}]}, 400, "messages.0.role"),
        ({"models": ["a/b"] * 4}, 400, "'models' array must have 3 items or fewer."),
        ({"provider": {"quantization": "fp8"}}, 400, "Unrecognized key(s) in object: 'quantization'"),
        ({"model": "acme/fake-1.0"}, 400, "acme/fake-1.0 is not a valid model ID"),
        ({"model": "sandbox/no-such"}, 400, "not a valid model ID"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 200_001}, 400, "maximum context length is 200000 tokens"),
        ({"provider": {"only": ["azure"]}}, 404, "permits only: azure"),
        ({"provider": {"max_price": {"prompt": 0.1}}}, 404, "max_price"),
    ],
)
def test_bad_requests(ask, sandbox, fields, status, text):
    """
    What OpenRouter would not accept is refused with its status and text, and costs nothing.
    """
    reply = ask(**{"model": "sandbox/ok", **fields})

    assert status == reply.status_code
    assert text in message(reply)
    assert "0" == sandbox.bill()["total_cost"]


def test_batch_models_do_not_chat(ask, sandbox):
    """
    A `:batch` model is a 404.
    """
    batch = next(each["id"] for each in sandbox.backend.catalogue.entries if each["id"].endswith(":batch"))

    assert 404 == ask(batch).status_code


def test_body_that_is_not_json(sandbox, session):
    """
    A body that is not JSON is a 400.
    """
    assert 400 == session.post(f"{sandbox.url}/chat/completions", data=b"{nope").status_code


def test_unknown_paths(sandbox, session):
    """
    An unknown path gets OpenRouter's error envelope.
    """
    reply = session.post(f"{sandbox.url}/messages/count_tokens", json={})

    assert (404, 404) == (reply.status_code, reply.json()["error"]["code"])


def test_affordability(ask, sandbox):
    """
    A 402 says how many tokens were asked for and how many the money buys; so many are then accepted.
    """
    sandbox.account(total_credits="0.01", total_usage=0)
    refused = ask(max_tokens=5000)
    affordable = (10_000_000 - 8 * 1000) // 5000

    assert 402 == refused.status_code
    assert f"requested up to 5000 tokens, but can only afford {affordable}." in message(refused)
    assert 200 == ask(max_tokens=affordable).status_code
    assert 402 == ask(max_tokens=affordable + 1).status_code


def test_debt_stops_free_models_too(ask, sandbox):
    """
    A negative balance is a 402 for every model.
    """
    sandbox.account(total_credits=1, total_usage="1.01")

    assert 402 == ask("openrouter/free").status_code


def test_fallbacks(ask):
    """
    Models that fail are skipped, account errors are not, and the last failure names the earlier ones.
    """
    answered = ask("acme/fake", models=["sandbox/status-503", "openai/gpt-4o-mini"])
    broke = ask("sandbox/402-afford", models=["openai/gpt-4o-mini"])
    failed = ask("sandbox/status-503", models=["sandbox/status-429"])

    assert "openai/gpt-4o-mini" == answered.json()["model"]
    assert 402 == broke.status_code
    assert 429 == failed.status_code
    assert [503] == [each["code"] for each in failed.json()["error"]["metadata"]["previous_errors"]]


@pytest.mark.parametrize(("mode", "status"), [("normal", 200), ("forbidden", 403), ("zero", 200)])
def test_credits_modes(sandbox, session, mode, status):
    """
    `/credits` tells ordinary keys the truth, nothing, or zeros; a management key always hears the truth.
    """
    sandbox.account(credits=mode)
    reply = session.get(f"{sandbox.url}/credits")
    session.headers["Authorization"] = "Bearer sk-or-v1-mgmt-1"

    assert status == reply.status_code
    assert (mode == "normal") == (reply.json().get("data") == {"total_credits": 25, "total_usage": 7.42})
    assert 25 == session.get(f"{sandbox.url}/credits").json()["data"]["total_credits"]


def test_recorded_texts(ask):
    """
    The named refusals carry the texts and headers that were reported.
    """
    reported = json.loads((SAMPLES / "error_429_upstream_free_model.body.json.txt").read_bytes())["error"]
    daily = ask("sandbox/429-free-daily")

    assert reported == ask("sandbox/429-upstream").json()["error"]
    assert "can only afford 27342" in message(ask("sandbox/402-afford"))
    assert "7" == ask("sandbox/402-in-flight-7").headers["Retry-After"]
    assert 13 == len(daily.headers["X-RateLimit-Reset"])
    assert "Retry-After" not in daily.headers
