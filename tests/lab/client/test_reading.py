"""Apps that read slowly, or not at all."""

from __future__ import annotations

import json
import re
import socket
import time

import pytest

from tests.gateway import Gateway
from tests.lab.client.lab import Lab, comes_true
from tests.lab.client.raw_app import DONE, pause

_PATIENCE_S = 0.6
_SMALL = 4096


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> float:
    """Readers are cut after this many seconds instead of 60."""
    monkeypatch.setattr("app.web.peer._STALLED_S", _PATIENCE_S)
    return _PATIENCE_S


@pytest.fixture(autouse=True)
def narrow(module_gateway: Gateway) -> None:
    """The system takes little of what the gateway writes."""
    for listener in module_gateway.server._listeners:
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)


@pytest.mark.parametrize("gap_ms", [0, 20], ids=["fast-model", "slow-model"])
def test_c9_stalled_reader(lab: Lab, patience: float, gap_ms: float) -> None:
    """An app that stops reading is cut off in time, however fast the model talks, and OpenRouter with it."""
    app = lab.app(buffer=_SMALL)
    app.chat("sandbox/ok", stream=True, sandbox={"events": 100_000, "interval_ms": gap_ms})
    app.read_until(b"data: ")
    assert comes_true(lambda: lab.waiting() > 0, within_s=10)

    closed = comes_true(lambda: lab.posts()[0]["ended"] == "client_closed", within_s=patience + 1.5)

    assert closed
    assert lab.comes_to((499, "left"))
    rest = app.reply_rest()
    assert not rest.endswith(b"0\r\n\r\n")
    assert DONE not in rest


def test_c10_slow_reader(lab: Lab, patience: float) -> None:
    """An app that reads a stream slowly but steadily, for longer than a stalled one would live, gets all of it."""
    app = lab.app(buffer=_SMALL)
    began = time.monotonic()
    app.chat("sandbox/long-1000", stream=True)

    assert 200 == app.reply_head()[0]
    body = b""
    for chunk in app.chunks():
        body += chunk
        # Events that wait together leave together.
        pause(0.001 * chunk.count(b"data:"))
    assert time.monotonic() - began > patience + 0.4
    assert body.endswith(DONE)
    assert [f"{number} " for number in range(1, 1001)] == re.findall(r'"content":"(\d+ )"', body.decode())
    assert lab.comes_to((200, "answered"))
    assert ["answered"] == [row["ended"] for row in lab.posts()]


def test_slow_reader_of_a_plain_answer(lab: Lab, patience: float) -> None:
    """The same for a plain answer."""
    app = lab.app(buffer=_SMALL)
    began = time.monotonic()
    app.chat("sandbox/ok", sandbox={"text": "x" * 300_000})
    while time.monotonic() < began + patience + 0.4:
        app.read_some(1000)
        pause(0.01)

    reply = app.reply()

    assert (200, True) == (reply.status, reply.whole)
    assert "x" * 300_000 == json.loads(reply.body)["choices"][0]["message"]["content"]
    assert lab.comes_to((200, "answered"))


def test_stalled_reader_of_a_plain_answer(lab: Lab) -> None:
    """A plain answer that nobody fetches holds neither a thread nor a place of a call."""
    app = lab.app(buffer=_SMALL)

    app.chat("sandbox/big-event")

    assert comes_true(lambda: lab.waiting() > 0)
    assert comes_true(lambda: lab.gateway.server._lanes._calls._load == 0)
    assert comes_true(lambda: lab.gateway.services.slots.taken == 0)
    assert lab.comes_to((200, "answered"))
