from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from app.sandbox import Sandbox
from tests.e2e.served import orgate, served

CHAT = "/v1/chat/completions"
ASKED = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_log(shared_sandbox: Sandbox, tmp_path: Path, workers: str) -> None:
    """A gateway that was told to end has told of every call, once, and of their details where they were asked for."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    settings = {
        "OPENROUTER_BASE_URL": shared_sandbox.url,
        "OPENROUTER_API_KEY": "sk-or-v1-" + "4f3e2d1c" * 8,
        "ORGATE_WORKERS": workers,
        "DEBUG": "openrouter:relay",
    }
    token = orgate(state, settings, "token", "issue", "app").stdout.strip()
    with served(state, settings) as gateway:
        with requests.Session() as session:
            answers = [
                session.post(f"{gateway.base_url}{CHAT}", json=ASKED, headers={"Authorization": f"Bearer {token}"})
                for _ in range(20)
            ]
        called = sorted(answer.headers["x-request-id"] for answer in answers)
        _, told = gateway.stop()

    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert called == sorted(line["call_id"] for line in lines if line["event"] == "call.ended")
    assert called == sorted(line["call_id"] for line in lines if line["event"] == "relay.sent")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics(shared_sandbox: Sandbox, tmp_path: Path, workers: str) -> None:
    """Who asks for the metrics just after a call finds it counted, whichever process has answered it."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    settings = {
        "OPENROUTER_BASE_URL": shared_sandbox.url,
        "OPENROUTER_API_KEY": "sk-or-v1-" + "4f3e2d1c" * 8,
        "ORGATE_WORKERS": workers,
    }
    token = orgate(state, settings, "token", "issue", "app", "--scope", "chat", "--scope", "usage").stdout.strip()
    authorised = {"Authorization": f"Bearer {token}"}
    with served(state, settings) as gateway:
        for count in range(1, 11):
            assert 200 == requests.post(f"{gateway.base_url}{CHAT}", json=ASKED, headers=authorised).status_code
            metrics = requests.get(f"{gateway.base_url}/metrics", headers=authorised).text
            counted = [line for line in metrics.splitlines() if line.startswith("orgate_requests_total{")]
            assert [float(count)] == [float(line.rpartition(" ")[2]) for line in counted]
        gateway.stop()
