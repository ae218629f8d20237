from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.calls import Call
from app.services.run import Run
from app.web.state import Visit
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true

ASKED: dict[str, dict[str, Any]] = {
    "plain": {"model": "sandbox/ok"},
    "streamed": {"model": "sandbox/ok", "stream": True},
    "in company": {"model": "sandbox/delay-500", "stream": True},
    "refused in company": {"model": "sandbox/silence", "stream": True, "headers": {"X-Orgate-Timeout": "0.5"}},
    "second of a chain": {"model": "sandbox/status-500", "models": ["sandbox/ok"]},
    "after a reset": {"model": "sandbox/reset", "models": ["sandbox/ok"]},
    "broken off": {"model": "sandbox/reset-mid-3", "stream": True},
    "refused": {"model": "sandbox/404-no-endpoints"},
    "refused as a stream": {"model": "sandbox/404-no-endpoints", "stream": True},
}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Nobody looks for what keeps itself alive."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_nothing_is_left(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, asked: dict[str, Any]
) -> None:
    """When a call is over nothing of it keeps itself alive: its text is gone, and there is no garbage to look for."""
    monkeypatch.setattr("app.services.company.HOLD_S", 0.05)
    gateway.chat("sandbox/ok")
    gc.collect()

    reply = gateway.chat(**asked)

    assert (404 if "404" in asked["model"] else 200) == reply.status_code
    assert ("company" in request.node.callspec.id) == (b": orgate" in reply.content)
    assert comes_true(lambda: not _alive())


def _alive() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, (Call, Run, Visit))]
