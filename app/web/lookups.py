"""GET /key, /generation and a model's endpoints: what OpenRouter tells of them, in its own shape."""

from __future__ import annotations

import flask

from app.core.agents.agent import PREFIX
from app.core.errors import NotFound
from app.core.openapi import Told
from app.services import lookups
from app.services.kept import Dated
from app.web import quotas
from app.web.state import services
from app.web.told import FORCE, arguments, is_forced, json_of, tells

bp = flask.Blueprint("lookups", __name__)

_AGED = {"Age": "Seconds since OpenRouter said it.", "x_orgate_stale": "true when it is older than it should be."}


@bp.get("/key")
@tells(Told({200: json_of("The key.", {"data": "object"}, **_AGED)}, query=(FORCE,), asks=True))
def key() -> flask.Response:
    """What the gateway's key may spend and has spent."""
    quotas.take("credits")
    return _response(services().lookups.key(force=is_forced()))


@bp.get("/generation")
@tells(Told({200: json_of("The generation.", {"data": "object"})}, query=(lookups.GENERATION,), asks=True))
def generation() -> flask.Response:
    """What one generation was and cost."""
    quotas.take("models")
    body = services().lookups.generation(lookups.GENERATION.of(arguments()) or "")
    return flask.Response(body, content_type="application/json")


@bp.get("/models/<author>/<slug>/endpoints")
@tells(
    Told(
        {200: json_of("The model, with who serves it.", {"data": "object"}, **_AGED)},
        path=(lookups.AUTHOR, lookups.SLUG),
        refuses=(NotFound,),
        asks=True,
    )
)
def endpoints(author: str, slug: str) -> flask.Response:
    """Who serves a model, or an agent's first one, at which price and how well."""
    quotas.take("models")
    name = f"{author}/{slug}"
    if name.startswith(PREFIX):
        name = services().models.named(services().agents.shelf().find(name).models[0])
    author, _, slug = name.partition("/")
    return _response(services().lookups.endpoints(author, slug))


def _response(told: Dated) -> flask.Response:
    response = flask.Response(told.body, content_type="application/json")
    response.headers["Age"] = str(int(told.age_s))
    if told.stale:
        response.headers["x-orgate-stale"] = "true"
    return response
