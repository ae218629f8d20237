from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from app.sandbox import Sandbox
from app.sandbox.recorded import SAMPLES
from tests.e2e.raw_upstream import EVENTS_HEAD, JSON_HEAD, LAST_CHUNK, chunk, raw_upstream
from tests.gateway import API, Gateway

FOLDER = Path(__file__).parents[1] / "data" / "samples"
STREAMS = sorted(path.name for path in FOLDER.glob("*.body.sse"))
PLAIN = sorted(path.name for kind in ("chat", "embeddings") for path in FOLDER.glob(f"{kind}_*.body.json.txt"))
ERRORS = sorted(path.name for path in FOLDER.glob("error_*.body.json.txt"))
MODEL_OF = {file: f"sandbox/recorded-{name}" for name, file in SAMPLES.items()}
PADDING = b"\n         \n"
UPSTREAM_ID = b"X-Generation-Id: gen-of-the-header\r\n\r\n"


def recorded_id(body: bytes) -> str:
    """The generation's id in a recorded answer, plain or streamed."""
    found = re.search(rb'"id": ?"(gen-[^"]+)"', body)
    assert found is not None
    return found[1].decode()


def statuses(name: str) -> tuple[int, dict[str, Any]]:
    """Status and error object of a recorded refusal."""
    meta = json.loads((FOLDER / name.replace(".body.json.txt", ".meta.json")).read_text("utf-8"))
    return meta["response"]["status"], json.loads((FOLDER / name).read_bytes())["error"]


def asked(gateway: Gateway, model: str, name: str) -> requests.Response:
    """The answer to a call in the style in which this one was recorded."""
    stream = name.endswith(".sse")
    if name.startswith("chat_"):
        return gateway.chat(model, stream=stream)
    endpoint = name.partition("_")[0]
    body = {"model": model, "input": "Hello", **({"stream": True} if stream else {})}
    return gateway.request("POST", f"{API}/{endpoint}", json=body)


def test_all_are_played() -> None:
    """The sandbox plays everything that was recorded, with the recorded bytes."""
    assert {*STREAMS, *PLAIN, *ERRORS} == set(MODEL_OF)


@pytest.mark.parametrize("name", [*STREAMS, *PLAIN])
def test_byte_for_byte(gateway: Gateway, name: str) -> None:
    """A recorded answer passes byte for byte, padding and comments included, with its generation's id."""
    body = (FOLDER / name).read_bytes()
    reply = asked(gateway, MODEL_OF[name], name)

    assert 200 == reply.status_code
    assert body == reply.content
    assert recorded_id(body) == reply.headers["X-Generation-Id"]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("name", [*STREAMS, *PLAIN])
def test_any_cut(make_gateway: Callable[..., Gateway], name: str, size: int) -> None:
    """A recorded answer passes byte for byte however the network cuts it, with the id of the header."""
    body = (FOLDER / name).read_bytes()
    streamed = name.endswith(".sse")

    def answer(connection: socket.socket) -> None:
        connection.sendall((EVENTS_HEAD if streamed else JSON_HEAD) + UPSTREAM_ID)
        for at in range(0, len(body), size):
            connection.sendall(chunk(body[at : at + size]))
        connection.sendall(LAST_CHUNK)

    with raw_upstream(answer) as url:
        gateway = make_gateway(openrouter_base_url=url, openrouter_background_refresh="false")
        reply = asked(gateway, "a/b", name)
        content = reply.content

    assert body == content
    assert "gen-of-the-header" == reply.headers["X-Generation-Id"]


def test_padding(gateway: Gateway) -> None:
    """The white space that OpenRouter sends while the model works stays in a plain answer."""
    reply = gateway.chat("openai/gpt-4o-mini")

    assert reply.content.startswith(PADDING * 2 + b"{")
    assert reply.json()["choices"]


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_errors(gateway: Gateway, name: str, stream: bool) -> None:
    """A recorded refusal keeps its status, message and metadata and loses the account's user_id."""
    status, recorded = statuses(name)
    reply = gateway.chat(MODEL_OF[name], stream=stream)
    error = reply.json()["error"]

    assert status == reply.status_code
    assert recorded["message"] in error["message"]
    assert recorded.get("metadata") == error.get("metadata")
    assert b"user_" not in reply.content


def test_own_body(gateway: Gateway, sandbox: Sandbox) -> None:
    """A plain answer that the sandbox is told to give passes byte for byte, fields that nobody knows included."""
    body = (
        '\n  {"id":"gen-1","model":"a/b","odd":1.10,"choices":[{"message":{"content":"Yes"}}],"later":{"é":null}}  \n'
    )
    reply = gateway.request(
        "POST",
        f"{API}/chat/completions",
        json={
            "model": "a/b",
            "messages": [{"role": "user", "content": "Hello"}],
            "sandbox": {"status": 200, "headers": {"X-Generation-Id": "gen-1"}, "body": body},
        },
    )

    assert body.encode() == reply.content
    assert "gen-1" == reply.headers["X-Generation-Id"]
    assert ["gen-1"] == [row["generation_id"] for row in sandbox.log()]
