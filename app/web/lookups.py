"""GET /key, /generation and a model's endpoints: what OpenRouter tells of them, in its own shape."""

from __future__ import annotations

import flask

from app.core.agents.agent import PREFIX
from app.services.kept import Dated
from app.web import quotas
from app.web.state import services

bp = flask.Blueprint("lookups", __name__)


@bp.get("/key")
def key() -> flask.Response:
    """What the gateway's key may spend and has spent."""
    quotas.take("credits")
    force = flask.request.args.get("force", "").lower() in ("true", "1")
    return _response(services().lookups.key(force=force))


@bp.get("/generation")
def generation() -> flask.Response:
    """What one generation was and cost."""
    quotas.take("models")
    body = services().lookups.generation(flask.request.args.get("id", ""))
    return flask.Response(body, content_type="application/json")


@bp.get("/models/<author>/<slug>/endpoints")
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
