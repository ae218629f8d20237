from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.sandbox import Sandbox
from tests.e2e.served import Served, orgate, served

CHAT = "/v1/chat/completions"
ASKED = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(params=["1", "2"], ids=["one process", "two processes"])
def gateway(request: pytest.FixtureRequest, shared_sandbox: Sandbox, tmp_path: Path) -> Iterator[Served]:
    """A gateway that tells the details of calls too."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    settings = {
        "OPENROUTER_BASE_URL": shared_sandbox.url,
        "OPENROUTER_API_KEY": "sk-or-v1-" + "4f3e2d1c" * 8,
        "ORGATE_WORKERS": request.param,
        "DEBUG": "openrouter:relay",
    }
    with served(state, settings) as gateway:
        yield gateway


@pytest.fixture
def app(gateway: Served) -> Iterator[requests.Session]:
    """An app that keeps its connection open."""
    token = orgate(gateway.state, gateway.environment, "token", "issue", "app").stdout.strip()
    with requests.Session() as app:
        app.headers["Authorization"] = f"Bearer {token}"
        yield app


def test_log(gateway: Served, app: requests.Session) -> None:
    """A gateway that was told to end has told of every call, once, and of their details where they were asked for."""
    answers = [app.post(f"{gateway.base_url}{CHAT}", json=ASKED) for _ in range(20)]
    called = sorted(answer.headers["x-request-id"] for answer in answers)
    _, told = gateway.stop()

    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert called == sorted(line["call_id"] for line in lines if line["event"] == "call.ended")
    assert called == sorted(line["call_id"] for line in lines if line["event"] == "relay.sent")


def test_metrics(gateway: Served, app: requests.Session) -> None:
    """Who asks for the metrics just after a call finds it counted, whichever process has answered it."""
    for count in range(1, 11):
        assert 200 == app.post(f"{gateway.base_url}{CHAT}", json=ASKED).status_code
        metrics = app.get(f"{gateway.base_url}/metrics").text
        counted = [line for line in metrics.splitlines() if line.startswith("orgate_requests_total{")]
        assert [float(count)] == [float(line.rpartition(" ")[2]) for line in counted]
