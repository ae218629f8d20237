"""The door: every request passes here before it is known what it wants."""

from __future__ import annotations

import re
import secrets

import flask

from app.core import strays, strict_json
from app.core.errors import BadRequest, Forbidden, TooLarge, UnsupportedMediaType, WrongHost
from app.web import auth
from app.web.state import Visit, calling, settings

MAX_BODY = 32 * 2**20
_HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+?)\.?(?::(\d{1,5}))?")
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
    # The request itself: what stands for it in Flask looks it up again each time.
    request: flask.Request = flask.request._get_current_object()  # type: ignore[attr-defined]  # a LocalProxy
    here = flask.g.visit = Visit(f"call_{secrets.token_hex(12)}", calling().clock.monotonic())
    _check_host(request.environ.get("HTTP_HOST"), request.environ["SERVER_PORT"])
    origin_is_ours = _check_origin(request.headers.get("Origin"))
    if not origin_is_ours and request.headers.get("Sec-Fetch-Site") in _FOREIGN_SITES:
        raise Forbidden("Web pages of other sites may not call this gateway.", code="foreign_origin")
    if request.method == "OPTIONS" and origin_is_ours:
        return flask.Response(status=204)
    if request.routing_exception is not None and strays.foreign(request.path):
        # Who probes for another product has no token, and 401 would tell them that they had found it.
        raise request.routing_exception
    here.grant = auth.identify(request)
    if request.routing_exception is not None:
        raise request.routing_exception
    auth.authorise(request.endpoint, here.grant)
    if request.method == "POST":
        _read_body(request, here)
    return None


def _check_host(host: str | None, port: str) -> None:
    """The Host must be a name of ours with our port: whoever rebinds a name of theirs to loopback stays outside."""
    match = _HOST.fullmatch((host or "").lower())
    name, named_port = match.groups() if match else ("", None)
    allowed = settings().allowed_hosts
    ours = (name in _LOOPBACK or name in allowed) and (named_port or "80") == port
    if not ours and f"{name}:{named_port}" not in allowed:
        raise WrongHost(
            "The Host header is not a name of this gateway. Call it by the address that `orgate serve` prints, "
            "or add the name to ORGATE_ALLOWED_HOSTS."
        )


def _check_origin(origin: str | None) -> bool:
    """Whether the request comes from a page that was let in by name; raises Forbidden for any other page."""
    if origin is None:
        return False
    if origin in settings().allowed_origins or origin == f"http://{flask.request.environ['HTTP_HOST'].lower()}":
        return True
    raise Forbidden(
        "Web pages may not call this gateway. A desktop app's origin can be let in with ORGATE_ALLOWED_ORIGINS.",
        code="foreign_origin",
    )


def allow_origin(response: flask.Response) -> None:
    """Let a page that was let in by name read the answer; nobody else gets a CORS header."""
    origin = flask.request.headers.get("Origin")
    if origin is not None and origin in settings().allowed_origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = _ALLOWED_METHODS
        asked = flask.request.headers.get("Access-Control-Request-Headers", "")
        response.headers["Access-Control-Allow-Headers"] = asked if _HEADER_NAMES.fullmatch(asked) else _ALLOWED_HEADERS
        response.headers["Access-Control-Expose-Headers"] = ", ".join(sorted({*_SHOWN_HEADERS, *_ours(response)}))
        response.headers["Vary"] = "Origin"


def _ours(response: flask.Response) -> set[str]:
    """The names of the headers that tell of the gateway itself."""
    names = {name.lower() for name, _ in response.headers}
    return {name for name in names if name.startswith(("x-orgate-", "x-ratelimit-"))}


def _read_body(request: flask.Request, here: Visit) -> None:
    kind, _, parameters = request.headers.get("Content-Type", "").lower().partition(";")
    if kind.strip() != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("POST takes JSON: send Content-Type: application/json, not compressed.")
    if "charset" in parameters and "utf-8" not in parameters:
        raise UnsupportedMediaType("JSON is UTF-8; leave the charset out of the Content-Type.")
    if (request.content_length or 0) > MAX_BODY:
        raise TooLarge(f"The body is larger than {MAX_BODY // 2**20} MiB.")
    raw = request.get_data(cache=False)
    if len(raw) > MAX_BODY:
        raise TooLarge(f"The body is larger than {MAX_BODY // 2**20} MiB.")
    if not raw:
        raise BadRequest("The body is empty; send a JSON object.", code="invalid_json")
    here.raw, here.body = raw, strict_json.loads(raw)
