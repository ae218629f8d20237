"""GET /health and /healthz: the only routes that need no token."""

from __future__ import annotations

import flask

from app.core.shapes import dump
from app.web.state import services

bp = flask.Blueprint("health", __name__)
root = flask.Blueprint("health", __name__)


@bp.get("/health")
def health() -> flask.Response:
    """Whether calls can be answered: booleans, or 503 with the reason."""
    state = services().health.get()
    if state.error is not None:
        body = dump({"status": "unhealthy", "error": state.error})
        return flask.Response(body, 503, content_type="application/json")
    cache = {"credits": state.credits_cached, "models": state.models_cached}
    body = dump({"status": "healthy", "credits": state.credits, "models": state.models, "cache": cache})
    return flask.Response(body, content_type="application/json")


@root.get("/healthz")
def alive() -> flask.Response:
    """204: the process answers."""
    return flask.Response(status=204)
