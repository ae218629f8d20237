"""GET /openapi.json: every route, what it takes and what it may answer, as OpenAPI 3.1."""

from __future__ import annotations

import re
from importlib.metadata import version

import flask

from app.core.openapi import Operation, Told, document
from app.core.shapes import dump
from app.web import auth, quotas
from app.web.told import json_of, tells, told_of

bp = flask.Blueprint("openapi", __name__)

_FILE = "/openapi.json"
_VARIABLE = re.compile(r"<(?:[a-z]+:)?(\w+)>")
_METHODS = ("GET", "POST")


@bp.get(_FILE)
@tells(Told({200: json_of("The document.", {"openapi": "string", "info": "object", "paths": "object"})}))
def openapi() -> flask.Response:
    """This document; below an address of the gateway only the routes below that."""
    quotas.take("models")
    below = flask.request.path.removesuffix(_FILE) + "/"
    kept: dict[str, bytes] = flask.current_app.extensions.setdefault("orgate-openapi", {})
    if below not in kept:
        kept[below] = dump(document(operations(flask.current_app, below), version("orgate")))
    return flask.Response(kept[below], content_type="application/json")


def operations(app: flask.Flask, below: str = "/") -> list[Operation]:
    """Every route of the application below this address."""
    found = []
    for rule in app.url_map.iter_rules():
        told = told_of(app, rule.endpoint)
        if told is None or not rule.rule.startswith(below):
            continue
        scope = auth.SCOPE_OF[auth.view_of(rule.endpoint)]
        about = (app.view_functions[rule.endpoint].__doc__ or "").strip().splitlines()[0]
        found += [
            Operation(
                method=method,
                path=_VARIABLE.sub(r"{\1}", rule.rule),
                name=rule.endpoint,
                about=about,
                scope=scope,
                has_quota=quotas.counts(scope),
                told=told,
            )
            for method in _METHODS
            if method in (rule.methods or ())
        ]
    return sorted(found, key=lambda one: (one.path, one.method))
