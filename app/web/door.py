"""The door: every request passes here before it is known what it wants."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

import flask
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import get_content_length, get_input_stream

from app.core import strays, strict_json
from app.core.errors import BadRequest, Forbidden, TooLarge, UnsupportedMediaType, WrongHost
from app.web import auth
from app.web.state import Visit, web_of

MAX_BODY = 32 * 2**20
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+?)\.?(?::(\d{1,5}))?")
_HOSTS = 64
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FOREIGN_SITES = frozenset({"cross-site", "same-site"})
_ALLOWED_METHODS = "GET, POST, OPTIONS"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]+(?: *, *[A-Za-z0-9-]+)*")
_SHOWN_HEADERS = frozenset({"age", "retry-after", "x-generation-id", "x-request-id", "x-should-retry"})
_ALLOWED_HEADERS = "authorization, content-type, x-api-key, anthropic-version, anthropic-beta"


def install(app: flask.Flask) -> None:
    """Put the door in front of every route of the application, also of those that do not exist."""
    app.before_request(_enter)


def _enter() -> flask.Response | None:
    request = flask.request
    here = flask.g.visit = Visit(request.environ, web_of(flask.current_app))
    origin_is_ours = check_sender(here)
    if request.method == "OPTIONS" and origin_is_ours:
        return flask.Response(status=204)
    if request.routing_exception is not None and strays.foreign(request.path):
        # Who probes for another product has no token, and 401 would tell them that they had found it.
        raise request.routing_exception
    scope = auth.scope_of(request.endpoint)
    if scope != auth.OPEN:
        here.grant = auth.identify(here)
    if request.routing_exception is not None:
        raise request.routing_exception
    auth.authorise(scope, here.grant)
    if request.method == "POST":
        read_body(here)
    return None


def check_sender(here: Visit) -> bool:
    """Whether a page asks that was let in by name; raises WrongHost, and Forbidden for any other page."""
    _check_host(here)
    origin_is_ours = _check_origin(here)
    if not origin_is_ours and here.environ.get("HTTP_SEC_FETCH_SITE") in _FOREIGN_SITES:
        raise Forbidden("Web pages of other sites may not call this gateway.", code="foreign_origin")
    return origin_is_ours


def read_body(here: Visit) -> None:
    """Take a POST's body in; raises UnsupportedMediaType, TooLarge and BadRequest."""
    environ = here.environ
    kind, _, parameters = environ.get("CONTENT_TYPE", "").lower().partition(";")
    if kind.strip() != "application/json" or environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedMediaType("POST takes JSON: send Content-Type: application/json, not compressed.")
    if "charset" in parameters and "utf-8" not in parameters:
        raise UnsupportedMediaType("JSON is UTF-8; leave the charset out of the Content-Type.")
    if (get_content_length(environ) or 0) > MAX_BODY:
        raise TooLarge(f"The body is larger than {MAX_BODY // 2**20} MiB.")
    try:
        # A server that lets nobody read past the body's end says so; the stream of any other is cut there.
        knows_end = environ.get("wsgi.input_terminated")
        raw = (environ["wsgi.input"] if knows_end else get_input_stream(environ)).read()
    except ClientDisconnected:
        raise BadRequest("The body ended before its announced length.", code="invalid_json") from None
    if len(raw) > MAX_BODY:
        raise TooLarge(f"The body is larger than {MAX_BODY // 2**20} MiB.")
    if not raw:
        raise BadRequest("The body is empty; send a JSON object.", code="invalid_json")
    here.raw, here.body = raw, strict_json.loads(raw)


def _check_host(here: Visit) -> None:
    """The Host must be a name of ours with our port: whoever rebinds a name of theirs to loopback stays outside."""
    name, named_port = _host_of(here.environ.get("HTTP_HOST", ""))
    allowed = here.settings.allowed_hosts
    ours = (name in _LOOPBACK or name in allowed) and (named_port or "80") == here.environ["SERVER_PORT"]
    if not ours and f"{name}:{named_port}" not in allowed:
        raise WrongHost(
            "The Host header is not a name of this gateway. Call it by the address that `orgate serve` prints, "
            "or add the name to ORGATE_ALLOWED_HOSTS."
        )


@functools.lru_cache(_HOSTS)
def _host_of(given: str) -> tuple[str, str | None]:
    match = _HOST.fullmatch(given.lower())
    return (match[1], match[2]) if match else ("", None)


def _check_origin(here: Visit) -> bool:
    """Whether the request comes from a page that was let in by name; raises Forbidden for any other page."""
    origin = here.environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    if origin in here.settings.allowed_origins or origin == f"http://{here.environ['HTTP_HOST'].lower()}":
        return True
    raise Forbidden(
        "Web pages may not call this gateway. A desktop app's origin can be let in with ORGATE_ALLOWED_ORIGINS.",
        code="foreign_origin",
    )


def told_to_page(here: Visit, names: Iterable[str], told: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """
    The headers that let a page read the answer if it was let in by name; nobody else gets a CORS header.

    `names` are those of the answer's own headers, in small letters; `told` are those that every answer carries.
    """
    origin = here.environ.get("HTTP_ORIGIN")
    if origin is None or origin not in here.settings.allowed_origins:
        return []
    asked = here.environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
    others = (*names, *(name.lower() for name, _ in told))
    ours = {name for name in others if name.startswith(("x-orgate-", "x-ratelimit-"))}
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Methods", _ALLOWED_METHODS),
        ("Access-Control-Allow-Headers", asked if _HEADER_NAMES.fullmatch(asked) else _ALLOWED_HEADERS),
        ("Access-Control-Expose-Headers", ", ".join(sorted({*_SHOWN_HEADERS, *ours}))),
        ("Vary", "Origin"),
    ]
