"""GET /metrics: what Prometheus and its like collect."""

from __future__ import annotations

from collections.abc import Callable

import flask

from app.core.openapi import Answer, Told
from app.web import quotas
from app.web.told import tells


def blueprint(exposition: Callable[[], tuple[str, bytes]]) -> flask.Blueprint:
    """The route for metrics whose content type and text come from `exposition`; it stands at the root alone."""
    root = flask.Blueprint("metrics", __name__)

    @root.get("/metrics")
    @tells(Told({200: Answer("Prometheus's text format.", {"text/plain": {"type": "string"}})}))
    def metrics() -> flask.Response:
        """Every metric of the gateway, of all apps, in Prometheus's text format."""
        quotas.take("models")
        content_type, text = exposition()
        return flask.Response(text, content_type=content_type)

    return root
