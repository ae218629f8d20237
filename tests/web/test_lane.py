from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests
from werkzeug.test import Client, EnvironBuilder

from app.core.styles import STYLES
from app.factory import MOUNTS
from app.services.answers import Success
from app.services.run import Run
from app.web.lane import CallLane
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true

OWN = re.compile(rb"(call_|gen-|chatcmpl-|msg_|resp_)[\w-]+|\"(created|created_at|completed_at|seconds)\":\s*[\d.]+")
"""What is different in any two answers."""

TIMED = frozenset({"x-orgate-overhead-duration-ms", "x-generation-id", "x-ratelimit-reset", "retry-after", "date"})
STRICT = {"orgate_sanitize": "strict", "orgate_max_message_chars": "100"}
SETTINGS = {"orgate_allowed_origins": "app://desktop", "openrouter_background_refresh": "false", **STRICT}
CHAT = "/v1/chat/completions"
PROMPT = {"messages": [{"role": "user", "content": "Hello"}], "input": "Hello", "prompt": "Hello", "max_tokens": 16}

GOOD = {**PROMPT, "model": "sandbox/ok"}

ASKED: dict[str, tuple[int, str, dict[str, Any]]] = {
    **{
        f"{mount}{path}{' streamed' * streamed}": (200, mount + path, {"json": {**GOOD, **more}})
        for mount in MOUNTS
        for path in STYLES
        for streamed, more in ((False, {}), (True, {"stream": True}))
        if not (streamed and path == "/embeddings")
    },
    "no token": (401, CHAT, {"json": GOOD, "headers": {"Authorization": ""}}),
    "x-api-key": (200, CHAT, {"json": GOOD, "headers": {"Authorization": "", "x-api-key": ""}}),
    "key for a token": (401, CHAT, {"json": GOOD, "headers": {"Authorization": "Bearer sk-or-v1-0"}}),
    "no JSON": (400, CHAT, {"data": b"{", "content_type": "application/json"}),
    "nothing": (400, CHAT, {"data": b"", "content_type": "application/json"}),
    "a form": (415, CHAT, {"data": {"a": "b"}}),
    "a charset": (415, CHAT, {"data": b"{}", "content_type": "application/json; charset=latin1"}),
    "a bad request": (400, "/v1/messages", {"json": {"model": "sandbox/ok"}}),
    "no messages": (400, "/api/v1/chat/completions", {"json": {"model": "sandbox/ok", "messages": []}}),
    "a bad model": (400, CHAT, {"json": {**PROMPT, "model": "no/such"}}),
    "a failing model": (429, CHAT, {"json": {**PROMPT, "model": "sandbox/status-429"}}),
    "a chain": (200, CHAT, {"json": {**PROMPT, "models": ["sandbox/status-500", "sandbox/ok"]}}),
    "a bad wish": (400, CHAT, {"json": GOOD, "headers": {"X-Orgate-Timeout": "soon"}}),
    "another host": (421, CHAT, {"json": GOOD, "headers": {"Host": "evil.com"}}),
    "a page": (403, CHAT, {"json": GOOD, "headers": {"Origin": "https://evil.com"}}),
    "a page of another site": (403, CHAT, {"json": GOOD, "headers": {"Sec-Fetch-Site": "cross-site"}}),
    "a page that was let in": (200, CHAT, {"json": GOOD, "headers": {"Origin": "app://desktop"}}),
    "too long": (200, CHAT, {"json": {"model": "sandbox/ok", "messages": [{"role": "user", "content": "a" * 500}]}}),
}
"""The status that it is answered with, and what is asked where."""


@pytest.mark.parametrize("case", ASKED)
def test_the_same_answer(make_gateway: Callable[..., Gateway], case: str) -> None:
    """What passes in the lane is answered as Flask's dispatch would: the same status, headers and bytes."""
    in_lane, in_flask = (_answer(make_gateway(**SETTINGS), case, past_lane=past_lane) for past_lane in (False, True))

    assert ASKED[case][0] == in_lane[0]
    assert in_flask == in_lane


@pytest.mark.parametrize("past_lane", [False, True], ids=["lane", "Flask"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_failure_after_the_answer(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, stream: bool, past_lane: bool
) -> None:
    """Where the gateway fails with the answer in its hands the app is told so, and nothing of the call is left over."""
    lane = gateway.app.wsgi_app
    assert isinstance(lane, CallLane)
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    body = {**PROMPT, "model": "sandbox/ok", "stream": stream}
    monkeypatch.setattr(gateway.services.quotas, "look", lambda *_: 1 // 0)

    response = Client(lane.next if past_lane else lane).post(
        CHAT, base_url=gateway.base_url, json=body, headers=headers
    )

    assert (500, "internal_error") == (response.status_code, response.json["error"]["code"])
    assert comes_true(lambda: gateway.services.slots.taken == 0)
    assert comes_true(lambda: gateway.services.ledger.sums().held == 0)
    assert 0 == gateway.services.relay.end_running("tester")


def test_a_head_that_is_refused(gateway: Gateway) -> None:
    """Where the server does not take the answer's head nothing of the call is left over."""
    body = json.dumps({**PROMPT, "model": "sandbox/drip-20", "stream": True})
    headers = {"Authorization": f"Bearer {gateway.token()}", "Content-Type": "application/json"}
    environ = EnvironBuilder(CHAT, gateway.base_url, method="POST", data=body, headers=headers).get_environ()

    with pytest.raises(ZeroDivisionError):
        gateway.app.wsgi_app(environ, lambda *_: 1 // 0)

    assert comes_true(lambda: gateway.services.slots.taken == 0)
    assert comes_true(lambda: gateway.services.ledger.sums().held == 0)


def test_a_failure_behind_comments(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the gateway fails when the answer has begun it is cut off, and nothing of the call is left over."""
    monkeypatch.setattr("app.services.company.HOLD_S", 0.05)
    relay = gateway.services.relay
    find = relay._pursuit.answer

    def fail(run: Run) -> Success:
        find(run)
        return 1 // 0  # type: ignore[return-value]

    monkeypatch.setattr(relay._pursuit, "answer", fail)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        gateway.request("POST", CHAT, json={**PROMPT, "model": "sandbox/delay-1000", "stream": True})

    assert comes_true(lambda: gateway.services.slots.taken == 0)
    assert comes_true(lambda: gateway.services.ledger.sums().held == 0)
    assert "web.broke" in caplog.text


def test_the_head_of_a_late_stream(make_gateway: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that begins with comments has every header that does not depend on which model answers, and how."""
    monkeypatch.setattr("app.services.company.HOLD_S", 0.05)
    gateway = make_gateway(**SETTINGS)
    body = {"messages": [{"role": "user", "content": "a" * 500}], "stream": True}

    late, early = (
        gateway.request("POST", CHAT, json={**body, "model": f"sandbox/{name}"}) for name in ("delay-1000", "ok")
    )

    assert b": orgate" in late.content
    assert b": orgate" not in early.content
    found_later = {"X-Generation-Id", "x-orgate-model", "x-orgate-provider"}
    assert set(early.headers) - set(late.headers) <= found_later
    assert {"x-orgate-sanitized", "X-RateLimit-Limit", "X-Accel-Buffering", "x-request-id"} <= set(late.headers)
    assert "text/event-stream" == late.headers["Content-Type"]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_another_server(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a server that knows WSGI and nothing of ours the app is kept company too, and its leaving is noticed."""
    monkeypatch.setattr("app.services.company.HOLD_S", 0.05)
    monkeypatch.setattr("app.services.company._KEEP_ALIVE_S", 0.05)
    headers = {"Authorization": f"Bearer {gateway.token()}"}
    with make_server("127.0.0.1", 0, gateway.app, handler_class=_Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}{CHAT}"

        late = requests.post(
            url, json={**GOOD, "model": "sandbox/delay-1000", "stream": True}, headers=headers, timeout=20
        )
        with requests.post(
            url, json={**GOOD, "model": "sandbox/silence", "stream": True}, headers=headers, timeout=20, stream=True
        ) as silent:
            comment = next(silent.iter_lines())

        assert late.content.startswith(b": orgate")
        assert late.content.endswith(b"data: [DONE]\n\n")
        assert comment.startswith(b": orgate")
        assert comes_true(lambda: not gateway.services.relay._running)
        server.shutdown()


def _answer(gateway: Gateway, case: str, *, past_lane: bool) -> tuple[object, ...]:
    _, path, asked = ASKED[case]
    lane, token = gateway.app.wsgi_app, gateway.token()
    assert isinstance(lane, CallLane)
    headers = {"Authorization": f"Bearer {token}", **asked.get("headers", {})}
    if "x-api-key" in headers:
        headers["x-api-key"] = token
    client = Client(lane.next if past_lane else lane)
    response = client.post(path, base_url=gateway.base_url, **{**asked, "headers": headers})
    headers = dict(response.headers)
    if "Content-Length" in headers:
        # Times in the body may be longer or shorter.
        headers["Content-Length"] = "right" if int(headers["Content-Length"]) == len(response.data) else "wrong"
    told = sorted((name, OWN.sub(b"", value.encode())) for name, value in headers.items() if name.lower() not in TIMED)
    return response.status_code, response.status, told, OWN.sub(b"", response.data)
