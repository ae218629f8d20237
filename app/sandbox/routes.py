"""Which path answers what: OpenRouter's, and the sandbox's own control under `/_sandbox`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from app.sandbox import chat, refusals, views, wire
from app.sandbox.backend import Backend
from app.sandbox.dialects import DIALECTS
from app.sandbox.outlet import Outlet
from app.sandbox.refusals import JSON_TYPE, RefusedError
from app.sandbox.wire import Json

BASE = "/api/v1"
CONTROL = "/_sandbox/"
_CACHED = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=3600"


@dataclass(frozen=True)
class Request:
    """One request whose body has been read; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path without query, decoded."""
        return unquote(urlsplit(self.target).path)

    def query(self, name: str) -> str | None:
        """The last value of a query parameter."""
        found = parse_qs(urlsplit(self.target).query).get(name)
        return found[-1] if found else None


def answer(request: Request, backend: Backend, outlet: Outlet) -> None:
    """Answer any request, errors included."""
    try:
        _openrouter(request, backend, outlet)
    except RefusedError as refused:
        outlet.refuse(refused)


def _openrouter(request: Request, backend: Backend, outlet: Outlet) -> None:
    # The address may be given with or without /api/v1; OpenRouter itself answers below it only.
    route = request.path.removeprefix(BASE)
    dialect = DIALECTS.get(route)
    if request.method == "POST" and dialect is not None:
        try:
            chat.complete(request.body, dialect, _key(request, backend), backend, outlet)
        except RefusedError as refused:
            raise dialect.refused(refused) from None
        return
    if request.method != "GET":
        raise refusals.error(404, "Not Found")
    if route == "/models":
        _models(request, backend, outlet)
        return
    outlet.answer(200, {"Content-Type": JSON_TYPE}, wire.dumps(_view(route, request, backend)))


def _view(route: str, request: Request, backend: Backend) -> Json:
    match route.strip("/").split("/"):
        case ["models", "count"]:
            return {"data": {"count": len(backend.catalogue.entries)}}
        case ["embeddings", "models"]:
            return backend.embedders.page(0, None, "")
        case ["models", author, slug, "endpoints"]:
            return views.endpoints(backend.catalogue, f"{author}/{slug}")
        case ["model", author, slug]:
            return views.model(backend.catalogue, f"{author}/{slug}")
        case ["key"] | ["auth", "key"]:
            return backend.account.key_view(_key(request, backend))
        case ["credits"]:
            return backend.account.credits_view(_key(request, backend))
        case ["generation"]:
            _key(request, backend)
            return views.generation(backend.account, request.query("id") or "")
    raise refusals.error(404, "Not Found")


def _key(request: Request, backend: Backend) -> str:
    return backend.account.admit(request.headers.get("authorization", ""))


def _models(request: Request, backend: Backend, outlet: Outlet) -> None:
    headers = {"Content-Type": JSON_TYPE, "Cache-Control": _CACHED, "Vary": "Host, Accept-Encoding"}
    if any(request.query(name) is not None for name in ("offset", "limit", "q")):
        try:
            offset = int(request.query("offset") or 0)
            limit = int(request.query("limit") or 500)
        except ValueError as exc:
            raise refusals.error(400, "Invalid input: offset and limit must be whole numbers") from exc
        page = backend.catalogue.page(max(0, offset), max(1, limit), (request.query("q") or "").lower())
        outlet.answer(200, headers, wire.dumps(page))
    elif "gzip" in request.headers.get("accept-encoding", ""):
        outlet.answer(200, {**headers, "Content-Encoding": "gzip"}, backend.models_gzip)
    else:
        outlet.answer(200, headers, backend.models_json)


def control(request: Request, backend: Backend) -> tuple[int, Json]:
    """Status and JSON of the sandbox's own routes, which the journal does not mention."""
    match request.method, request.path.removeprefix(CONTROL).rstrip("/"):
        case "GET", "log":
            after = request.query("after") or "0"
            return 200, {"requests": backend.journal.rows(int(after) if after.isdigit() else 0)}
        case "GET", "bill":
            return 200, backend.account.bill()
        case "GET", "account":
            return 200, backend.account.view()
        case "POST", "account":
            return _change_account(request, backend)
        case "POST", "reset":
            backend.journal.clear()
            backend.account.reset()
            return 200, backend.account.view()
    return 404, {"error": {"message": "Not Found", "code": 404}}


def _change_account(request: Request, backend: Backend) -> tuple[int, Json]:
    try:
        wanted: Any = wire.loads(request.body or b"{}")
        if not isinstance(wanted, dict):
            raise ValueError("the body must be a JSON object")
        return 200, backend.account.change(wanted)
    except ValueError as exc:
        return 400, {"error": {"message": str(exc), "code": 400}}
