from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from app.sandbox import Sandbox

KEY = "sk-or-v1-aaaaaaaaaaaaaaaaaaaaaaaaaaaa1234"


@pytest.fixture(scope="session")
def _shared() -> Iterator[Sandbox]:
    with Sandbox(interval_s=0.002) as running:
        yield running


@pytest.fixture
def sandbox(_shared: Sandbox) -> Sandbox:
    """A sandbox whose log, bill and account are as new."""
    _shared.reset()
    return _shared


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that carries an ordinary key."""
    with requests.Session() as opened:
        opened.trust_env = False
        opened.headers["Authorization"] = f"Bearer {KEY}"
        yield opened


@pytest.fixture
def ask(sandbox: Sandbox, session: requests.Session) -> Callable[..., requests.Response]:
    """Sends a chat request; fields beside `model` and `text` go into the body."""

    def send(model: str | None = "sandbox/ok", text: str = "Hello there", **fields: Any) -> requests.Response:
        body = {"messages": [{"role": "user", "content": text}], **fields}
        if model is not None:
            body["model"] = model
        return session.post(f"{sandbox.url}/chat/completions", json=body, timeout=5, allow_redirects=False)

    return send
