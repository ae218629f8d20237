"""What a reviewer of the attempts found at the app's side: each was wrong once."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import openai
import pytest

from tests.gateway import API
from tests.lab.client.lab import Lab, comes_true
from tests.lab.client.raw_app import DONE, pause
from tests.lab.upstream.wire import full_backlog

_EVENTS = 40_000
"""More than all buffers on the way take."""


@pytest.mark.clients
@pytest.mark.parametrize("used", [0, 1, 2])
def test_sdk_and_a_quota_in_the_middle(make_lab: Callable[..., Lab], used: int) -> None:
    """However little of the app's quota is left, one call of the SDK asks a busy model three times at most."""
    lab = make_lab("3 per 3 seconds")
    token, busy = lab.gateway.token(), "sandbox/429-retry-after-0"
    for _ in range(used):
        assert 200 == lab.gateway.chat(token=token).status_code
    with openai.OpenAI(base_url=lab.gateway.base_url + API, api_key=token) as client:
        assert 2 == client.max_retries

        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model=busy, messages=[{"role": "user", "content": "Hello"}])

    asked = [row["model"] for row in lab.posts()].count(busy)
    assert 1 <= asked <= 3
    assert "false" == raised.value.response.headers["x-should-retry"]


@pytest.mark.parametrize("chain", [[], ["sandbox/echo"]], ids=["alone", "chain"])
def test_app_that_pauses(lab: Lab, chain: list[str]) -> None:
    """An app that reads nothing for longer than a model may be silent still gets the whole answer."""
    for listener in lab.gateway.server.sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    app = lab.app(buffer=4096)
    model = {"events": _EVENTS, "interval_ms": 0}
    app.chat("sandbox/ok", "X-Orgate-Idle-Timeout: 1", stream=True, models=chain, sandbox=model)
    app.read_until(b"data: ")
    assert comes_true(lambda: lab.waiting() > 0)

    pause(2.5)
    still = lab.posts()[0]["ended"]
    reply = app.reply_rest(b"0\r\n\r\n")

    assert "open" == still
    assert _EVENTS == len(re.findall(rb'"content":"\d+ ', reply))
    assert DONE in reply
    assert b'"error"' not in reply
    assert lab.comes_to((200, "answered"))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_leaving_while_connecting(make_lab: Callable[..., Lab], stream: bool) -> None:
    """The place of a call is free soon after its app has left, also while OpenRouter's connection is not taken."""
    with full_backlog() as port:
        lab = make_lab(openrouter_base_url=f"http://127.0.0.1:{port}/api/v1", orgate_timeout_connect="60")
        app = lab.app()
        app.chat("sandbox/ok", stream=stream)
        assert comes_true(lambda: any(run.asked for run in lab.runs()))
        assert 1 == lab.gateway.services.slots.taken

        app.leave()

        assert comes_true(lambda: lab.gateway.services.slots.taken == 0, within_s=10)
        assert lab.comes_to((499, "left"))
        story = lab.story()
    assert story is not None
    assert ["connecting"] == [tried["phase"] for tried in story.attempts]
