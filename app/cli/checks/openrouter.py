"""Checks of OpenRouter: the way there, the catalogue, the key's rights."""

from __future__ import annotations

from app.adapters.upstream import HttpUpstream
from app.cli.checks import BAD, HINT, OK, SKIPPED, Finding
from app.core import balance
from app.core.errors import GatewayError, Json
from app.core.meter import parse
from app.core.money import dollars


def check_models(upstream: HttpUpstream, base_url: str) -> tuple[Finding, Finding, list[Json]]:
    """The network and the catalogue, which needs no key."""
    try:
        status, body = upstream.get("/models", key=None)
    except GatewayError as error:
        bad = Finding("network", BAD, f"{base_url}: {error.message}", "check the network, ORGATE_PROXY and the clock")
        return bad, Finding("models", SKIPPED, "the network comes first"), []
    network = Finding("network", OK, f"{base_url} answers")
    answer = parse(body)
    models = answer.get("data") if isinstance(answer, dict) and status == 200 else None
    if not isinstance(models, list) or not models:
        fix = "try again in a minute; check OPENROUTER_BASE_URL"
        return network, Finding("models", BAD, f"no catalogue came (status {status})", fix), []
    return network, Finding("models", OK, f"{len(models)} models"), models


def check_credits(upstream: HttpUpstream, key: str, management_key: str | None) -> list[Finding]:
    """Whether OpenRouter takes the key, and whether the key may see the balance."""
    try:
        key_status, key_body = upstream.get("/key", key=key)
        status, body = upstream.get("/credits", key=management_key or key)
    except GatewayError as error:
        return [Finding("key at OpenRouter", BAD, error.message, "check the network")]
    if key_status == 401:
        return [Finding("key at OpenRouter", BAD, "it is refused: revoked or mistyped", "orgate key set")]
    taken = Finding("key at OpenRouter", OK, "accepted")
    figures = balance.combine(parse(body) if status == 200 else None, parse(key_body) if key_status == 200 else None)
    if figures is None or figures.remaining is None:
        told = f"the balance is not told to this key (status {status}); the key's own usage is shown instead"
        return [taken, Finding("credits", HINT, told, "set OPENROUTER_MANAGEMENT_KEY to see the balance")]
    left = f"${dollars(figures.remaining)} left"
    if figures.exhausted:
        return [taken, Finding("credits", BAD, left, "top up at https://openrouter.ai/settings/credits")]
    return [taken, Finding("credits", OK, left)]
