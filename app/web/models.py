"""GET /models: the catalogue."""

from __future__ import annotations

import flask

from app.core import listings
from app.core.catalogue import Query
from app.core.errors import Json
from app.core.shapes import dump
from app.services.models import Shown
from app.web import quotas
from app.web.state import services

bp = flask.Blueprint("models", __name__)

_SMALL = 1024


@bp.get("/models")
def models() -> flask.Response:
    """The models as OpenRouter describes them, and the agents as "agent/ID"; Claude Code and Codex get their shapes."""
    quotas.take("models")
    arguments = flask.request.args.to_dict()
    mine = services()
    if "anthropic-version" in flask.request.headers:
        return _told(listings.for_claude(mine.models.entries(mine.agents.shelf()), arguments))
    if "client_version" in arguments:
        return _told(listings.for_codex())
    force = arguments.get("force", "").lower() in ("true", "1")
    return _response(mine.models.get(Query.parse(arguments), agents=mine.agents.shelf(), force=force))


def _told(listed: dict[str, Json]) -> flask.Response:
    response = flask.Response(dump(listed), content_type="application/json")
    response.headers["Vary"] = "anthropic-version"
    return response


def _response(shown: Shown) -> flask.Response:
    listing = shown.listing
    gzipped = len(listing.body) > _SMALL and flask.request.accept_encodings["gzip"] > 0
    response = flask.Response(content_type="application/json")
    # The same list compressed is another representation and has a tag of its own (RFC 9110 §8.8.3).
    response.set_etag(f"{listing.etag}-gzip" if gzipped else listing.etag)
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Age"] = str(int(shown.age_s))
    if shown.stale:
        response.headers["x-orgate-stale"] = "true"
    response.make_conditional(flask.request)
    if response.status_code != 304:
        response.data = listing.gzipped if gzipped else listing.body
        if gzipped:
            response.headers["Content-Encoding"] = "gzip"
    return response
