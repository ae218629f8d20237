from __future__ import annotations

import json
import time
from collections.abc import Callable

import jwt
import pytest

from app.factory import MOUNTS
from app.sandbox import Sandbox
from app.web.auth import OPEN, SCOPE_OF, view_of
from tests.gateway import API, Gateway

ROUTES = [
    *(("POST", f"{mount}/chat/completions") for mount in MOUNTS),
    *(("GET", f"{mount}/{name}") for mount in MOUNTS for name in ("credits", "models", "health")),
    ("GET", "/healthz"),
    ("GET", "/nothing/here"),
    ("OPTIONS", "/v1/chat/completions"),
]
GUARDED = [(method, path) for method, path in ROUTES if not path.endswith(("/health", "/healthz"))]
BODY = {"model": "sandbox/ok", "messages": [{"role": "user", "content": "Hello"}]}

HOSTS = [
    "evil.com",
    "evil.com:{port}",
    "127.0.0.1.evil.com:{port}",
    "localhost.evil.com:{port}",
    "localhost@evil.com:{port}",
    "evil.com@localhost:{port}",
    "0.0.0.0:{port}",
    "127.1:{port}",
    "127.0.0.2:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[::1",
    "::1:{port}",
    "localhost/..:{port}",
    "localhost:{port}, evil.com",
    "localhost",
    "localhost:1",
    "localhost:{port}#a",
    "localhost:{port}?",
    "localhost:{port}/",
    "a#b",
    "local host:{port}",
    "",
]


def _sent(gateway: Gateway, method: str, path: str, headers: dict[str, str], *, token: str | None = "") -> int:
    rest = {"json": BODY} if method == "POST" else {}
    return gateway.request(method, path, token=token, headers=headers, **rest).status_code


def _upstream_posts(sandbox: Sandbox) -> int:
    return sum(entry["method"] == "POST" for entry in sandbox.log())


def test_every_route_stands_in_the_scope_table(gateway: Gateway) -> None:
    """A route that is not in the table of scopes fails the test run, and the table names no route that is gone."""
    views = {view_of(rule.endpoint) for rule in gateway.app.url_map.iter_rules()}

    assert views == set(SCOPE_OF)
    assert {"health.health", "health.alive"} == {view for view, scope in SCOPE_OF.items() if scope == OPEN}


@pytest.mark.parametrize("host", HOSTS)
def test_wrong_hosts(gateway: Gateway, sandbox: Sandbox, host: str) -> None:
    """A Host that is not a name of ours with our port gets 421 on every route, and nothing goes upstream."""
    headers = {"Host": host.format(port=gateway.port)}

    statuses = {route: _sent(gateway, *route, headers) for route in ROUTES}

    assert dict.fromkeys(ROUTES, 421) == statuses
    assert [] == sandbox.log()


@pytest.mark.parametrize("request_line", [b"GET /healthz HTTP/1.1", b"GET /healthz HTTP/1.0"])
def test_no_host(gateway: Gateway, request_line: bytes) -> None:
    """A request without a Host gets 421 in OpenAI's error shape."""
    reply = gateway.raw(request_line + b"\r\nConnection: close\r\n\r\n")

    head, _, body = reply.partition(b"\r\n\r\n")
    assert b" 421 " in head.splitlines()[0] + b" "
    assert "wrong_host" == json.loads(body)["error"]["type"]


def test_two_hosts(gateway: Gateway) -> None:
    """Two Host headers are as good as a wrong one."""
    line = f"Host: localhost:{gateway.port}\r\n".encode()

    reply = gateway.raw(b"GET /healthz HTTP/1.1\r\n" + line + line + b"Connection: close\r\n\r\n")

    assert reply.startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]"])
def test_right_hosts(gateway: Gateway, host: str) -> None:
    """Every name of loopback is ours."""
    assert 204 == _sent(gateway, "GET", "/healthz", {"Host": f"{host}:{gateway.port}"}, token=None)


def test_configured_hosts(make_gateway: Callable[..., Gateway]) -> None:
    """ORGATE_ALLOWED_HOSTS adds names: without a port for ours, with a port for that one."""
    gateway = make_gateway(orgate_allowed_hosts="host.docker.internal,box.lan:9000")

    def status(host: str) -> int:
        return _sent(gateway, "GET", "/healthz", {"Host": host}, token=None)

    assert 204 == status(f"host.docker.internal:{gateway.port}")
    assert 204 == status("box.lan:9000")
    assert 421 == status("host.docker.internal:9000")
    assert 421 == status(f"box.lan:{gateway.port}")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "file://", "http://127.0.0.1"]
)
def test_foreign_origins(gateway: Gateway, sandbox: Sandbox, origin: str) -> None:
    """A web page gets 403 on every route and no CORS header, and nothing goes upstream."""
    replies = [
        gateway.request(method, path, headers={"Origin": origin}, **({"json": BODY} if method == "POST" else {}))
        for method, path in ROUTES
    ]

    assert {403} == {reply.status_code for reply in replies}
    assert not any(name.lower().startswith("access-control") for reply in replies for name in reply.headers)
    assert [] == sandbox.log()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_fetches_of_other_sites(gateway: Gateway, site: str) -> None:
    """A browser's request on behalf of another site gets 403, also without an Origin."""
    assert 403 == _sent(gateway, "GET", f"{API}/models", {"Sec-Fetch-Site": site})


def test_own_origin(gateway: Gateway) -> None:
    """A page of the gateway's own may call it."""
    headers = {"Origin": gateway.base_url, "Sec-Fetch-Site": "same-origin"}

    assert 200 == _sent(gateway, "GET", f"{API}/models", headers)


def test_configured_origin(make_gateway: Callable[..., Gateway]) -> None:
    """A desktop app's origin that was let in by name may call, ask first, and read the answer."""
    gateway = make_gateway(orgate_allowed_origins="app://notes")
    headers = {"Origin": "app://notes", "Sec-Fetch-Site": "cross-site"}

    asked = gateway.request("OPTIONS", "/v1/models", token=None, headers=headers)
    reply = gateway.request("GET", "/v1/models", headers=headers)

    assert (204, 200) == (asked.status_code, reply.status_code)
    assert "app://notes" == asked.headers["Access-Control-Allow-Origin"] == reply.headers["Access-Control-Allow-Origin"]
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"]


def _forged(gateway: Gateway, **changes: object) -> str:
    good = gateway.token("forger")
    claims = jwt.decode(good, options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, gateway.secret, algorithm="HS256")


def _without(gateway: Gateway, name: str) -> str:
    claims = jwt.decode(gateway.token(), options={"verify_signature": False})
    del claims[name]
    return jwt.encode(claims, gateway.secret, algorithm="HS256")


def _flipped(gateway: Gateway) -> str:
    head, body, signature = gateway.token().split(".")
    return f"{head}.{body}.{signature[:-2]}{'AA' if signature[-2:] != 'AA' else 'BB'}"


def _revoked(gateway: Gateway) -> str:
    token = gateway.token("gone")
    gateway.services.office.revoke("gone")
    return token


BAD_TOKENS: dict[str, Callable[[Gateway], str]] = {
    "none": lambda _: "",
    "nonsense": lambda _: "nonsense",
    "openrouter key": lambda _: "sk-or-v1-" + "a" * 64,
    "unsigned": lambda gateway: jwt.encode({"sub": "x"}, None, algorithm="none"),
    "other algorithm": lambda gateway: jwt.encode({"sub": "x"}, "k" * 64, algorithm="HS512"),
    "other secret": lambda gateway: jwt.encode({"sub": "x", "aud": "orgate"}, "k" * 32, algorithm="HS256"),
    "flipped signature": _flipped,
    "stripped signature": lambda gateway: gateway.token().rpartition(".")[0] + ".",
    "expired": lambda gateway: _forged(gateway, iat=int(time.time()) - 900, exp=int(time.time()) - 60),
    "too long a life": lambda gateway: _forged(gateway, exp=10**12),
    "huge life": lambda gateway: _forged(gateway, exp=10**30),
    "other audience": lambda gateway: _forged(gateway, aud="someone"),
    "audience list": lambda gateway: _forged(gateway, aud=["orgate"]),
    "issuer prefix": lambda gateway: _forged(gateway, iss="orgat"),
    "no jti": lambda gateway: _without(gateway, "jti"),
    "no exp": lambda gateway: _without(gateway, "exp"),
    "no sub": lambda gateway: _without(gateway, "sub"),
    "other app": lambda gateway: _forged(gateway, sub="somebody else"),
    "unknown jti": lambda gateway: _forged(gateway, jti="' OR 1=1 --"),
    "revoked": _revoked,
    "long": lambda _: "eyJ" + "a" * 5000,
    "not ascii": lambda _: "tökén",
    "path": lambda _: "../../etc/passwd",
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_bad_tokens(gateway: Gateway, sandbox: Sandbox, kind: str) -> None:
    """A bad token gets 401 on every guarded route, in OpenAI's shape, with a hint; nothing goes upstream."""
    token = BAD_TOKENS[kind](gateway)
    headers = {"Authorization": f"Bearer {token}".encode("latin-1")} if token else {}

    replies = [
        gateway.request(method, path, token=None, headers=headers, **({"json": BODY} if method == "POST" else {}))
        for method, path in GUARDED
    ]

    assert {401} == {reply.status_code for reply in replies}
    assert {"authentication_error"} == {reply.json()["error"]["type"] for reply in replies}
    assert all("orgate token issue" in reply.json()["error"]["message"] for reply in replies)
    assert {"false"} == {reply.headers["x-should-retry"] for reply in replies}
    assert [] == sandbox.log()


def test_token_in_x_api_key(gateway: Gateway) -> None:
    """Anthropic clients send the token as x-api-key, and it counts the same."""
    assert 200 == _sent(gateway, "GET", "/v1/models", {"X-Api-Key": gateway.token()}, token=None)


def test_revoking_needs_no_restart(gateway: Gateway) -> None:
    """A revoked token stops counting at once, also on a connection that is kept open."""
    token = gateway.token("brief")
    before = gateway.get("/models", token=token).status_code

    gateway.services.office.revoke("brief")

    assert (200, 401) == (before, gateway.get("/models", token=token).status_code)


@pytest.mark.parametrize(("scope", "path"), [("models", "/credits"), ("chat", "/models"), ("credits", "/models")])
def test_missing_scope(gateway: Gateway, scope: str, path: str) -> None:
    """A token only opens the routes of its scopes."""
    reply = gateway.get(path, token=gateway.token(scopes=[scope]))

    assert 403 == reply.status_code
    assert "permission_error" == reply.json()["error"]["type"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"]
)
def test_content_types(gateway: Gateway, sandbox: Sandbox, kind: str) -> None:
    """What a web page can send without asking first is refused: POST takes JSON only."""
    headers = {"Content-Type": kind} if kind else {}

    reply = gateway.request("POST", "/v1/chat/completions", headers=headers, data=json.dumps(BODY))

    assert 415 == reply.status_code
    assert 0 == _upstream_posts(sandbox)


def test_compressed_body(gateway: Gateway) -> None:
    """A compressed body is refused instead of being taken for JSON."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    assert 415 == gateway.request("POST", "/v1/chat/completions", headers=headers, data=b"\x1f\x8b").status_code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xef\xbb\xbf{}",
        b'{"model": "\xff"}',
        '{"model": "x"}'.encode("utf-16"),
        b'{"model": "a", "model": "b"}',
        b'{"temperature": NaN}',
        b'{"temperature": 1e999}',
        b'{"model": "\\ud800"}',
        b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_strict_json(gateway: Gateway, sandbox: Sandbox, body: bytes) -> None:
    """A body that two readers could read differently gets 400 and goes nowhere."""
    headers = {"Content-Type": "application/json"}

    reply = gateway.request("POST", "/v1/chat/completions", headers=headers, data=body)

    assert (400, "invalid_json") == (reply.status_code, reply.json()["error"]["code"])
    assert 0 == _upstream_posts(sandbox)


def test_body_cap(gateway: Gateway, sandbox: Sandbox) -> None:
    """A body over 32 MiB gets 413 in OpenAI's shape, with and without a stated length."""
    huge = b'{"model": "' + b"a" * (32 * 2**20) + b'"}'
    headers = {"Content-Type": "application/json"}

    stated = gateway.request("POST", "/v1/chat/completions", headers=headers, data=huge)
    chunked = gateway.request("POST", "/v1/chat/completions", headers=headers, data=iter([huge]))

    assert [413, 413] == [stated.status_code, chunked.status_code]
    assert "request_too_large" == stated.json()["error"]["type"] == chunked.json()["error"]["type"]
    assert 0 == _upstream_posts(sandbox)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"stream": "yes"}, "stream"),
        ({"models": "openai/gpt-4o"}, "models"),
    ],
)
def test_wrong_fields(gateway: Gateway, sandbox: Sandbox, change: dict[str, object], param: str) -> None:
    """A field that cannot be right is named in a 400, before anything is sent."""
    reply = gateway.chat(**change)  # type: ignore[arg-type]

    assert (400, param) == (reply.status_code, reply.json()["error"]["param"])
    assert 0 == _upstream_posts(sandbox)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1/../keys",
        "/v1/%2e%2e/keys",
        "/api/v1/keys",
        "/v1/models/..;/keys",
        "/v1/models%00",
    ],
)
def test_traversal(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    """Only the exact routes exist; no spelling of another path reaches OpenRouter or redirects."""
    reply = gateway.raw(
        f"GET {path} HTTP/1.1\r\nHost: localhost:{gateway.port}\r\n"
        f"Authorization: Bearer {gateway.token()}\r\nConnection: close\r\n\r\n".encode()
    )

    assert reply.split(b" ", 2)[1] in (b"404", b"400")
    assert [] == sandbox.log()


def test_wrong_method(gateway: Gateway) -> None:
    """A method that a route does not take gets 405 with those it does."""
    reply = gateway.request("GET", "/v1/chat/completions")

    assert 405 == reply.status_code
    assert "POST" in reply.headers["Allow"]


def test_every_answer_is_marked(gateway: Gateway) -> None:
    """Every answer carries its id, may not be sniffed or stored, and sets no cookie."""
    replies = [gateway.request(*route) for route in ROUTES if route[0] == "GET"]

    assert all(reply.headers["x-request-id"].startswith("call_") for reply in replies)
    assert {"nosniff"} == {reply.headers["X-Content-Type-Options"] for reply in replies}
    assert all("Cache-Control" in reply.headers and "Set-Cookie" not in reply.headers for reply in replies)
    assert not any("Server" in reply.headers for reply in replies)
