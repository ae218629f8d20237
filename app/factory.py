"""Makes the Flask application; it only wires."""

from __future__ import annotations

import flask

from app.bootstrap.gateway import build
from app.settings import Settings, load
from app.web import (
    agents,
    answers,
    calls,
    control,
    credits,
    door,
    errors,
    events,
    health,
    lookups,
    metrics,
    model,
    models,
    openapi,
    proxy,
    usage,
)
from app.web.lane import CallLane
from app.web.state import Web, attach

CREW = "orgate.crew"
"""Where the application keeps its carriers, None if there are to be none, and what makes a desk for one."""

MOUNTS = ("/api/openrouter", "/v1", "/api/v1")
"""The document's address, that of OpenAI and Anthropic clients, and that of programs written for openrouter.ai."""


def create_app(settings: Settings | None = None) -> flask.Flask:
    """The gateway as a WSGI application; raises SettingsError. Nothing runs in the background before it is started."""
    app = bare()
    built = build(app, settings or load())
    app.extensions[CREW] = (built.crew, built.desk)
    frame(app, Web(built.services, built.web))
    for mount in MOUNTS:
        api = flask.Blueprint(mount.strip("/").replace("/", "-"), __name__, url_prefix=mount)
        for concern in (proxy, credits, models, model, agents, lookups, calls, usage, control, events, health, openapi):
            api.register_blueprint(concern.bp)
        app.register_blueprint(api)
    app.register_blueprint(health.root)
    app.register_blueprint(openapi.bp)
    app.register_blueprint(metrics.blueprint(built.exposition))
    return app


def bare() -> flask.Flask:
    """An application without routes."""
    app = flask.Flask("orgate", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    return app


def frame(app: flask.Flask, web: Web) -> None:
    """What is before and after every route, and the lane of calls beside them."""
    attach(app, web)
    app.wsgi_app = CallLane(app.wsgi_app, web, MOUNTS)  # type: ignore[method-assign]  # Flask's own way to wrap it
    door.install(app)
    answers.install(app)
    errors.install(app)
