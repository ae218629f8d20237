"""Turns every failure into an answer that programs and people can act on."""

from __future__ import annotations

import flask
from werkzeug import exceptions

from app.core import strays
from app.core.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound, TooLarge
from app.core.shapes import dump
from app.core.styles import style_of
from app.web.state import calling, visit

_NUMERIC_CODES = "/api/v1/"
"""Programs written for OpenRouter's own address read the error's code as the HTTP status."""


def install(app: flask.Flask) -> None:
    """Answer for everything that is raised in the application."""
    app.register_error_handler(GatewayError, answer)
    app.register_error_handler(exceptions.HTTPException, _foreign)
    app.register_error_handler(Exception, _unforeseen)


def answer(error: GatewayError) -> flask.Response:
    """The error in the shape of the address that was called: its API style, and what its programs read."""
    path = flask.request.path
    numeric = path.startswith(_NUMERIC_CODES)
    shape = style_of(path).error_body(error, numeric_code=numeric, call_id=visit().id)
    response = flask.Response(dump(shape), error.status, content_type="application/json")
    response.headers["x-should-retry"] = "true" if error.should_retry else "false"
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _foreign(error: exceptions.HTTPException) -> flask.Response:
    if isinstance(error, exceptions.NotFound):
        known = strays.hint(flask.request.path)
        return answer(NotFound(known or "There is nothing at this address; the README lists the routes."))
    if isinstance(error, exceptions.MethodNotAllowed):
        response = answer(MethodNotAllowed(f"This address does not take {flask.request.method}."))
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response
    if isinstance(error, exceptions.RequestEntityTooLarge):
        return answer(TooLarge("The body is too large."))
    if 400 <= (error.code or 500) < 500:
        return answer(BadRequest("The request cannot be understood.", status=error.code))
    return _unforeseen(error)


def _unforeseen(error: Exception) -> flask.Response:
    calling().events.broke("web.broke", error, path=flask.request.path)
    return answer(GatewayError("The gateway failed; its log says where. Nothing more is known of the request."))
