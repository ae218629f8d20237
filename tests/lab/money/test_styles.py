from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.sandbox.server import Sandbox
from tests.gateway import Gateway, running_gateway
from tests.lab.client.lab import comes_true

_CALLS = 160
_TEXT = "Say a few words about money"
_BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": _TEXT}]},
    "/messages": {"max_tokens": 64, "messages": [{"role": "user", "content": _TEXT}]},
    "/responses": {"input": _TEXT, "max_output_tokens": 64},
    "/completions": {"prompt": _TEXT, "max_tokens": 64},
    "/embeddings": {"input": [_TEXT, "More words"], "dimensions": 8},
}
_FAULTS = ("cut-2", "cut-clean-2", "error-mid-2", "no-usage", "no-done", "status-500", "error-in-200", "absurd-usage-1")


def _call(gateway: Gateway, token: str, number: int) -> None:
    chance = random.Random(number)
    endpoint = chance.choice(list(_BODIES))
    good = "openai/text-embedding-3-small" if endpoint == "/embeddings" else "anthropic/claude-haiku-4.5"
    model = f"sandbox/{chance.choice(_FAULTS)}" if chance.random() < 0.25 else good
    body = {"model": model, "models": [good], **_BODIES[endpoint]}
    if endpoint != "/embeddings" and chance.random() < 0.5:
        body["stream"] = True
    headers = {"X-Orgate-Delivery": "whole"} if chance.random() < 0.2 else {}
    reply = gateway.request("POST", "/v1" + endpoint, json=body, token=token, headers=headers, stream=True)
    with reply:
        if chance.random() < 0.1:
            # The app leaves in the middle.
            reply.raw.read1(64)
        else:
            assert reply.content


def _settled(gateway: Gateway) -> Callable[[], bool]:
    return lambda: not gateway.services.ledger.open()


def test_all_styles_on_one_bill(tmp_path: Path) -> None:
    """Over all styles, with faults and apps that leave, what the ledger sums up is the sandbox's bill."""
    settings = {"orgate_rate_chat": "1000000 per minute", "orgate_settle_after": "1", "log_level": "error"}
    with Sandbox(interval_s=0.0005) as sandbox, running_gateway(sandbox, tmp_path / "state", **settings) as gateway:
        sandbox.account(total_credits="1000000", generation_delay_ms=50)
        gateway.services.models.kept.get()
        gateway.services.reconciler.start()
        token = gateway.token()
        for number in range(_CALLS):
            _call(gateway, token, number)
        comes_true(_settled(gateway), within_s=60)

        usage, bill = gateway.get("/usage?by=app").json(), sandbox.bill()

    assert {each["api_type"] for each in bill["generations"]} == {
        "completions",
        "messages",
        "responses",
        "embeddings",
    }
    assert 0 < Decimal(bill["total_cost"])
    assert (bill["total_cost"], "0", "0", "0") == tuple(
        usage[name] for name in ("total_cost", "held", "unsettled", "outside")
    )
