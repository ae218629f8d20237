"""GET /models: the catalogue."""

from __future__ import annotations

import flask

from app.core import catalogue, listings
from app.core.catalogue import Query
from app.core.errors import Json
from app.core.forms import ANY_TEXT, Parameter
from app.core.openapi import JSON, Answer, Told
from app.core.shapes import dump
from app.services.models import Shown
from app.web import quotas
from app.web.state import services
from app.web.told import FORCE, arguments, is_forced, tells

bp = flask.Blueprint("models", __name__)

_SMALL = 1024
_TAG = Parameter("If-None-Match", ANY_TEXT, "The ETag of the list that is at hand.")
_LIST = {
    "type": "object",
    "properties": {"data": {"type": "array"}, "models": {"type": "array"}},
    "anyOf": [{"required": ["data"]}, {"required": ["models"]}],
}
_DATED = {
    "ETag": "The list as it is.",
    "Age": "Seconds since OpenRouter said it.",
    "x-orgate-stale": "true when it is older than it should be.",
}


@bp.get("/models")
@tells(
    Told(
        {200: Answer("The models.", {JSON: _LIST}, _DATED), 304: Answer("The list is as it was.", headers=_DATED)},
        query=(*catalogue.ARGUMENTS, FORCE, *listings.ARGUMENTS, listings.CODEX),
        headers=(listings.ANTHROPIC, _TAG),
        asks=True,
    )
)
def models() -> flask.Response:
    """The models as OpenRouter describes them, and the agents as "agent/ID"; Claude Code and Codex get their shapes."""
    quotas.take("models")
    asked = arguments()
    mine = services()
    if listings.ANTHROPIC.name in flask.request.headers:
        return _told(listings.for_claude(mine.models.entries(mine.agents.shelf()), asked))
    if listings.CODEX.name in asked:
        return _told(listings.for_codex())
    return _response(mine.models.get(Query.parse(asked), agents=mine.agents.shelf(), force=is_forced()))


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
