"""Requests that are odd, wrong, or not allowed: what is sent to OpenRouter for them is nothing, or exactly one call."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator

import jwt
import pytest

from app.sandbox.server import Sandbox
from tests.gateway import Gateway, running_gateway
from tests.lab.client.lab import Lab, comes_true
from tests.lab.client.raw_app import body_of

_HELLO = body_of("sandbox/ok")


def test_c13_pipelined(lab: Lab) -> None:
    """Three calls sent at once over one connection are answered in their order, each sent upstream once."""
    app = lab.app()
    bodies = [body_of("sandbox/echo", user=str(number)) for number in range(3)]
    app.socket.sendall(b"".join(app.head(f"Content-Length: {len(body)}", "x-session-id: p") + body for body in bodies))

    replies = [app.reply() for _ in bodies]

    assert [200, 200, 200] == [reply.status for reply in replies]
    assert [row["generation_id"] for row in lab.posts("p")] == [reply.headers["X-Generation-Id"] for reply in replies]
    assert 3 == len(lab.posts("p"))


def test_c14_no_host(lab: Lab) -> None:
    """HTTP/1.0 without a Host names nobody, and gets 421 in JSON."""
    app = lab.app()
    lines = app.head(f"Content-Length: {len(_HELLO)}", version="1.0").split(b"\r\n")
    app.socket.sendall(b"\r\n".join(line for line in lines if not line.startswith(b"Host")) + _HELLO)

    assert (421, "wrong_host", "false") == app.reply().refusal
    assert [] == lab.posts()


def test_c15_chunked_upload(lab: Lab) -> None:
    """A body in chunks, without a length, is a body like any other."""
    app = lab.app()
    parts = [_HELLO[:7], _HELLO[7:]]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)

    app.socket.sendall(app.head("Transfer-Encoding: chunked") + framed + b"0\r\n\r\n")

    assert 200 == app.reply().status
    assert [len(_HELLO)] == [row["body_bytes"] for row in lab.posts()]


def test_c16_expect_continue(lab: Lab) -> None:
    """An app that asks before it sends its body is told to go on."""
    app = lab.app()
    app.socket.sendall(app.head(f"Content-Length: {len(_HELLO)}", "Expect: 100-continue"))
    assert 100 == app.reply_head()[0]

    app.socket.sendall(_HELLO)

    assert 200 == app.reply().status
    assert 1 == len(lab.posts())


_EVIL = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLING = {
    "C17-both-lengths": (f"Content-Length: {len(_HELLO)}", "Transfer-Encoding: chunked"),
    "C17-encoding-twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "C17-unknown-encoding": ("Transfer-Encoding: xchunked",),
    "C17-length-twice": (f"Content-Length: {len(_HELLO)}", f"Content-Length: {len(_HELLO) + 5}"),
    "C17-signed-length": (f"Content-Length: +{len(_HELLO)}",),
    "C17-bare-line-feed": (f"X: 1\nContent-Length: {len(_HELLO)}",),
}


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING)
def test_c17_smuggling(lab: Lab, lines: tuple[str, ...]) -> None:
    """Where two readers could disagree on a body's end there is a refusal, and no second request is seen."""
    app = lab.app()
    app.socket.sendall(app.head(*lines) + _HELLO + _EVIL)

    status = app.reply().status

    assert status in (400, 411, 501)
    assert app.ended()
    assert [] == lab.posts()


@pytest.mark.parametrize("size", [32 * 2**20 + 1, 34 * 2**20 + 1])
def test_c18_large_body(lab: Lab, size: int) -> None:
    """More than 32 MiB is told to be too much: in JSON by the gateway, beyond that by the server before it is read."""
    app = lab.app()
    app.socket.sendall(app.head(f"Content-Length: {size}"))
    if size < 34 * 2**20:
        app.socket.sendall(b" " * size)

    assert 413 == app.reply().status
    assert [] == lab.posts()


def test_c19_large_head(lab: Lab) -> None:
    """More than 64 KiB of headers is told to be too much."""
    app = lab.app()
    app.socket.sendall(app.head(f"X-Long: {'x' * 70_000}"))

    assert 431 == app.reply().status
    assert [] == lab.posts()


_CUT = _HELLO[:-1]
UNREADABLE = {
    "C20-not-utf-8": _CUT + b',"user":"\xff"}',
    "C20-byte-order-mark": b"\xef\xbb\xbf" + _HELLO,
    "C20-utf-16": _HELLO.decode().encode("utf-16"),
    "C21-deep": _CUT + b',"user":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "C21-nan": _CUT + b',"top_p":NaN}',
    "C21-infinite": _CUT + b',"top_p":1e999}',
    "C21-many-digits": _CUT + b',"seed":' + b"9" * 5000 + b"}",
    "C21-half-a-pair": _CUT + b',"user":"\\ud800"}',
    "C21-name-twice": _CUT + b',"model":"sandbox/ok"}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable(lab: Lab, body: bytes) -> None:
    """What two JSON readers could read differently is refused."""
    app = lab.app()
    app.post(body)

    assert (400, "invalid_json", "false") == app.reply().refusal
    assert [] == lab.posts()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"models": "sandbox/ok"}, "models"),
        ({"models": [f"sandbox/ok-{number}" for number in range(10)]}, "models"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_c22_wrong_types(lab: Lab, change: dict[str, object], param: str) -> None:
    """A field that the gateway itself reads and cannot be meant so is named; the others are OpenRouter's to judge."""
    app = lab.app()
    app.post(json.dumps({**json.loads(_HELLO), **change}).encode())

    reply = app.reply()

    assert (400, "invalid_request", "false") == reply.refusal
    assert param == reply.error["param"]
    assert [] == lab.posts()


@pytest.mark.parametrize(
    ("kind", "lines", "body"),
    [
        ("text/plain", (), _HELLO),
        ("application/x-www-form-urlencoded", (), _HELLO),
        ("application/json; charset=utf-16", (), _HELLO),
        ("application/json", ("Content-Encoding: gzip",), gzip.compress(_HELLO)),
    ],
    ids=["text", "form", "charset", "gzip"],
)
def test_c23_not_json(lab: Lab, kind: str, lines: tuple[str, ...], body: bytes) -> None:
    """A body that does not say that it is plain JSON is not read."""
    app = lab.app()
    head = app.head(f"Content-Length: {len(body)}", *lines).replace(b"application/json", kind.encode(), 1)
    app.socket.sendall(head + body)

    assert (415, "unsupported_media_type", "false") == app.reply().refusal
    assert [] == lab.posts()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_c24_unknown_model(lab: Lab, stream: bool) -> None:
    """OpenRouter's word on a model that nobody knows reaches the app, after one attempt."""
    app = lab.app()
    app.chat("nobody/nothing", stream=stream)

    reply = app.reply()

    assert 400 <= reply.status < 500
    assert "false" == reply.headers["x-should-retry"]
    assert "nobody/nothing is not a valid model ID" in reply.error["message"]
    assert 1 == len(lab.posts())


def _tokens(gateway: Gateway) -> Iterator[tuple[str, str]]:
    yield "none", "x"
    token = gateway.token("revoked")
    gateway.services.office.revoke(jwt.decode(token, options={"verify_signature": False})["jti"])
    yield "revoked", token
    claims = jwt.decode(gateway.token("expired"), options={"verify_signature": False})
    yield "expired", jwt.encode({**claims, "exp": int(time.time()) - 10}, gateway.secret, "HS256")
    yield "forged", jwt.encode(claims, b"0" * 32, "HS256")


def test_c25_bad_tokens(lab: Lab) -> None:
    """A token that is none, is forged, has expired or was revoked is refused, and not to be tried again."""
    for kind, token in _tokens(lab.gateway):
        app = lab.app(token)
        app.chat("sandbox/ok")
        reply = app.reply()

        assert (kind, 401, "false") == (kind, reply.status, reply.headers["x-should-retry"])
        assert "authentication_error" == reply.error["type"]
    assert [] == lab.posts()


def test_c26_over_the_quota(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A call over the app's quota is told when to come back and is not sent."""
    with running_gateway(
        sandbox,
        tmp_path_factory.mktemp("quota"),
        openrouter_background_refresh="false",
        orgate_rate_chat="1 per minute",
    ) as gateway:
        lab = Lab(gateway, sandbox)
        token = gateway.token()
        first, second = lab.app(token), lab.app(token)
        first.chat("sandbox/ok")
        assert 200 == first.reply().status
        second.chat("sandbox/ok")
        reply = second.reply()

        assert (429, "quota_exceeded", "true") == reply.refusal
        assert 0 < int(reply.headers["Retry-After"]) <= 60
        assert 1 == len(lab.posts())
        lab.check_nothing_left()


def test_c30_silent_connections(lab: Lab) -> None:
    """Five hundred connections that say nothing keep nobody from being answered."""
    for _ in range(500):
        lab.app(token="none")
    assert comes_true(lambda: 500 == len(lab.connections()))
    app = lab.app()
    began = time.monotonic()

    app.chat("sandbox/ok")

    assert 200 == app.reply().status
    assert time.monotonic() - began < 1
    assert 1 == len(lab.posts())
    health = lab.gateway.get("/health", token=None)
    assert health.status_code in (200, 503)
