"""What a careful user found: each was wrong once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from app import server
from app.adapters.clock import SystemClock
from app.adapters.ledger import SqlLedger
from app.core.money import NANO, nanos
from app.core.sse import SseDecoder
from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import ambiguous, hold, rows
from tests.gateway import KEY, Gateway
from tests.lab.client.lab import comes_true
from tests.services.fakes import Recorder
from tests.upstream import ScriptedUpstream

ROOT = Path(__file__).parents[2]


def _event(index: int = 0, content: str = "", finish: str | None = None) -> str:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'gen-1', 'model': 'm', 'choices': [choice]})}\n\n"


def _played(gateway: Gateway, body: str) -> list[Any]:
    play = {"status": 200, "headers": {"Content-Type": "text/event-stream"}, "body": body}
    data = SseDecoder().feed(gateway.chat("sandbox/ok", stream=True, sandbox=play).content)
    return [one if one == b"[DONE]" else json.loads(one) for one in data]


def test_every_choice_must_end(gateway: Gateway) -> None:
    """With n=2 an answer is whole when both choices have ended, not when the first has."""
    half = _event(0, "a") + _event(1, "b") + _event(0, finish="stop")

    cut = _played(gateway, half)
    whole = _played(gateway, half + _event(1, finish="stop"))

    assert "error" in cut[-1]
    assert b"[DONE]" == whole[-1]


def test_no_event_passes_that_is_not_json(gateway: Gateway) -> None:
    """An answer with an event that is not JSON fails, however well it goes on."""
    body = _event(content="a") + "data: {not json}\n\n" + _event(finish="stop")
    play = {"status": 200, "headers": {"Content-Type": "text/event-stream"}, "body": body}

    reply = gateway.chat("sandbox/ok", stream=True, sandbox=play)

    assert "[DONE]" not in reply.text
    assert "not JSON" in reply.text


def test_upstream_that_repeats_the_key(make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    """A key that OpenRouter's error repeats does not reach the app."""
    told = {"error": {"code": 400, "message": f"bad: Bearer {KEY}", "metadata": {"raw": [{"authorization": KEY}]}}}
    upstream.give("/chat/completions", 400, told)
    gateway = make_gateway(openrouter_base_url=upstream.url, openrouter_background_refresh="false")

    reply = gateway.chat()

    assert 400 == reply.status_code
    assert KEY not in reply.text


def test_health_waits_for_nobody(make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    """However many requests wait for a hanging OpenRouter, /healthz answers."""
    upstream.gate.clear()
    gateway = make_gateway(openrouter_base_url=upstream.url, openrouter_background_refresh="false")
    token = gateway.token()
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(gateway.get, "/credits", token=token) for _ in range(12)]
        upstream.arrived.acquire(timeout=5)

        alive = gateway.request("GET", "/healthz", token=None)

        hanging = [one for one in waiting if not one.done()]
        upstream.gate.set()

    assert 204 == alive.status_code
    assert 12 == len(hanging)


def test_half_sent_requests(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose request does not come to its end is closed."""
    monkeypatch.setattr(server, "_REQUEST_S", 0.1)
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=10)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")

        assert b"" == connection.recv(1)


@pytest.mark.parametrize("name", ["tokens.json", "secret"])
def test_broken_state(gateway: Gateway, name: str) -> None:
    """A state file that was spoiled is told as such, lets nobody in, and is not replaced."""
    token = gateway.token()
    (gateway.folder / name).write_text("spoiled")
    gateway.services.tokens._secret = b""  # type: ignore[attr-defined]  # as after a restart

    reply = gateway.get("/models", token=token)

    assert 503 == reply.status_code
    assert name.partition(".")[0] in reply.json()["error"]["message"]
    assert "spoiled" == (gateway.folder / name).read_text()


def test_name_of_its_own_tools(gateway: Gateway) -> None:
    """No program can be given the name of orgate's own tools."""
    with pytest.raises(Exception, match="own tools"):
        gateway.token("orgate")


def test_other_loopback_address(make_gateway: Callable[..., Gateway]) -> None:
    """A gateway answers to the address it was told to listen on."""
    gateway = make_gateway(orgate_host="127.0.0.2")

    assert 204 == gateway.request("GET", "/healthz", token=None).status_code
    assert "127.0.0.2" in gateway.base_url


def test_missing_token_is_told_in_whole(gateway: Gateway) -> None:
    """What to do about a missing token is not taken for a token and blotted out."""
    told = gateway.request("GET", "/v1/usage", token=None).json()["error"]["message"]

    assert "Authorization: Bearer <token>" in told
    assert "orgate token issue NAME" in told


def test_any_wsgi_server(sandbox: Sandbox, tmp_path: Path) -> None:
    """wsgi.py is the whole gateway for any server, with redacted logs."""
    script = (
        "import threading, wsgi, werkzeug.test as t; c = t.Client(wsgi.application)\n"
        "for _ in range(40):\n"
        "    r = c.get('/v1/health', headers={'Host': 'localhost'})\n"
        "    if r.status_code == 200: break\n"
        "    threading.Event().wait(0.25)\n"
        "print(r.status_code, r.get_json())"
    )
    environment = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": sandbox.url, "ORGATE_STATE_DIR": str(tmp_path)}

    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30, check=True)

    assert ended.stdout.startswith("200"), ended.stdout + ended.stderr
    assert '"credits.status"' in ended.stderr


def _wsgi(folder: Path, sandbox: Sandbox, script: str) -> subprocess.Popen[str]:
    environment = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": sandbox.url, "ORGATE_STATE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", f"import wsgi, sys\n{script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def test_any_wsgi_server_keeps_the_books(sandbox: Sandbox, tmp_path: Path) -> None:
    """Under any server the costs that nobody told are looked up, and what is written at the end is kept."""
    answer = requests.post(
        f"{sandbox.url}/chat/completions",
        headers={"Authorization": f"Bearer {KEY}"},
        json={"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        timeout=10,
    ).json()
    ledger = SqlLedger(tmp_path / "ledger.db", SystemClock(), Recorder())
    ledger.open_for_use()
    ledger.reserve(hold("call:1", NANO), ())
    ledger.close(ambiguous("call:1", generation_id=answer["id"]))
    ledger.stop()

    with _wsgi(tmp_path, sandbox, "sys.stdin.read()") as running:
        settled = comes_true(lambda: [] == [row for row in rows(tmp_path / "ledger.db") if row["state"] != "settled"])
        running.communicate("", timeout=20)

    assert (True, 0) == (settled, running.returncode)
    [row] = rows(tmp_path / "ledger.db")
    assert ("generation", nanos(str(answer["usage"]["cost"]))) == (row["source"], row["cost"])


def test_one_process_on_a_state_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """A second process would take the first one's running attempts for a crash's: it does not start, and says why."""
    with _wsgi(tmp_path, sandbox, "print('up', flush=True); sys.stdin.read()") as first:
        assert first.stdout is not None
        up = first.stdout.readline()
        with _wsgi(tmp_path, sandbox, "") as second:
            _, told = second.communicate("", timeout=20)
        first.communicate("", timeout=20)

    assert ("up\n", 0) == (up, first.returncode)
    assert second.returncode != 0
    assert "already runs on the state folder" in told
