"""GET /health and /healthz: the only routes that need no token."""

from __future__ import annotations

import flask

from app.core.agents import views
from app.core.errors import Json
from app.core.forms import Exactly
from app.core.openapi import Answer, Told
from app.core.shapes import dump
from app.web import auth
from app.web.state import services, visit
from app.web.told import json_of, tells

bp = flask.Blueprint("health", __name__)
root = flask.Blueprint("health", __name__)

_CACHE = {"credits": "boolean", "models": "boolean"}
_WELL = {"status": Exactly({"const": "healthy"}), "credits": "boolean", "models": "boolean", "cache": _CACHE}
_ILL = {"status": Exactly({"const": "unhealthy"}), "error": "string"}


@bp.get("/health")
@tells(Told({200: json_of("Calls can be answered.", _WELL), 503: json_of("They cannot, and why.", _ILL)}))
def health() -> flask.Response:
    """Whether calls can be answered: booleans, or 503 with the reason; with a token also what rests, and the agents."""
    state = services().health.get()
    told: dict[str, Json] = {"status": "unhealthy", "error": state.error}
    if state.error is None:
        cache = {"credits": state.credits_cached, "models": state.models_cached}
        told = {"status": "healthy", "credits": state.credits, "models": state.models, "cache": cache}
    if auth.known(visit()) is not None:
        told["breakers"] = services().breakers.state()
        told["agents"] = views.state(services().agents.shelf())
    return flask.Response(dump(told), 200 if state.error is None else 503, content_type="application/json")


@root.get("/healthz")
@tells(Told({204: Answer("It answers.")}))
def alive() -> flask.Response:
    """204: the process answers."""
    return flask.Response(status=204)
