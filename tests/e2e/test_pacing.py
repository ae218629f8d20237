from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice, pairwise

import pytest
import requests
from openai import OpenAI

from app.sandbox import Sandbox
from tests.e2e.raw_client import RawStream
from tests.e2e.raw_upstream import EVENTS_HEAD, LAST_CHUNK, chunk, raw_upstream
from tests.gateway import API, Gateway

DRIP = "sandbox/drip-200"
DRIPPED = 20
"""Content events of a drip; the finish and the usage come after them without a pause."""

GAP_S = 0.2
STREAMS = 40
WORD = b'data: {"id":"gen-1","model":"a/b","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
END = (
    b'data: {"id":"gen-1","model":"a/b","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def sent(sandbox: Sandbox) -> int:
    """How many events of the newest answer have left the sandbox."""
    return int(sandbox.log()[-1]["events_sent"])


def test_one_at_a_time(make_gateway: Callable[..., Gateway]) -> None:
    """An event is at the app before the next one is sent: an upstream that waits for that is never kept waiting."""
    arrived = threading.Semaphore(0)
    kept_waiting: list[int] = []

    def answer(connection: socket.socket) -> None:
        connection.sendall(EVENTS_HEAD + b"\r\n")
        for number in range(50):
            connection.sendall(chunk(WORD))
            if not arrived.acquire(timeout=5):
                kept_waiting.append(number)
                break
        connection.sendall(chunk(END) + LAST_CHUNK)

    with raw_upstream(answer) as url:
        gateway = make_gateway(openrouter_base_url=url, openrouter_background_refresh="false")
        with RawStream(gateway, gateway.token(), "a/b") as stream:
            events = 0
            for _ in stream:
                events += 1
                arrived.release()

    assert [] == kept_waiting
    assert 52 == events


def test_socket(gateway: Gateway, sandbox: Sandbox) -> None:
    """On a bare socket each event of 5 per second is here before the next one is due."""
    ahead: list[int] = []
    at: list[float] = []
    with RawStream(gateway, gateway.token(), DRIP) as stream:
        for event in stream:
            if event.startswith(b"data: {"):
                at.append(time.monotonic())
                ahead.append(sent(sandbox) - len(at))

    gaps = [later - earlier for earlier, later in pairwise(at[:DRIPPED])]
    assert max(ahead[:DRIPPED]) <= 0
    assert GAP_S == pytest.approx(statistics.median(gaps), rel=0.25)


@pytest.mark.clients
def test_sdk(gateway: Gateway, sandbox: Sandbox) -> None:
    """Through the OpenAI SDK each event of 5 per second is here before the next one is due."""
    ahead: list[int] = []
    hello = [{"role": "user", "content": "Hello"}]
    with (
        OpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.token()) as client,
        client.chat.completions.create(model=DRIP, messages=hello, stream=True) as stream,
    ):
        for number, _ in enumerate(islice(stream, DRIPPED // 2), 1):
            ahead.append(sent(sandbox) - number)

    assert max(ahead) <= 0
    assert DRIPPED // 2 == len(ahead)


def test_short_requests(gateway: Gateway, sandbox: Sandbox) -> None:
    """With 40 slow streams open, health, credits and models answer in under 100 ms, and the streams finish whole."""
    paths = (f"{API}/health", f"{API}/credits", f"{API}/models", "/healthz")
    token = gateway.token(quotas={"chat": "100 per minute"})
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        for path in paths:
            session.get(gateway.base_url + path, timeout=10).raise_for_status()
        streams = [stack.enter_context(RawStream(gateway, token, DRIP)) for _ in range(STREAMS)]
        are_open = sandbox.wait_until(lambda log: STREAMS == sum(row["events_sent"] > 0 for row in log))
        medians = {
            path: statistics.median(seconds(session, gateway.base_url + path) for _ in range(10)) for path in paths
        }
        still_open = len(gateway.services.relay._running)
        endings = [list(stream)[-1] for stream in streams]

    assert (True, STREAMS) == (are_open, still_open)
    assert {} == {path: median for path, median in medians.items() if median >= 0.1}
    assert [b"data: [DONE]"] * STREAMS == endings
    assert [DRIPPED + 2] * STREAMS == [row["events_sent"] for row in sandbox.log() if row["method"] == "POST"]


def seconds(session: requests.Session, url: str) -> float:
    """How long a GET takes to its last byte."""
    start = time.perf_counter()
    session.get(url, timeout=10).raise_for_status()
    return time.perf_counter() - start
