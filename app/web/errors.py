"""Turns every failure into an answer that programs and people can act on."""

from __future__ import annotations

import flask
from werkzeug import exceptions

from app.core import strays
from app.core.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound, TooLarge
from app.core.shapes import dump
from app.core.styles import style_of
from app.web.answers import Answer, in_flask
from app.web.state import Visit, visit

_NUMERIC_CODES = "/api/v1/"
"""Programs written for OpenRouter's own address read the error's code as the HTTP status."""


def install(app: flask.Flask) -> None:
    """Answer for everything that is raised in the application."""
    app.register_error_handler(GatewayError, _answer)
    app.register_error_handler(exceptions.HTTPException, _foreign)
    app.register_error_handler(Exception, _unforeseen)


def told(error: GatewayError, here: Visit) -> Answer:
    """The error in the shape of the address that was called: its API style, and what its programs read."""
    numeric = here.path.startswith(_NUMERIC_CODES)
    shape = style_of(here.path).error_body(error, numeric_code=numeric, call_id=here.id)
    headers = [("x-should-retry", "true" if error.should_retry else "false")]
    if error.retry_after_s is not None:
        headers.append(("Retry-After", str(error.retry_after_s)))
    return Answer(dump(shape), headers=headers, status=error.status)


def told_of(error: Exception, here: Visit) -> Answer:
    """The answer for anything that was raised: of what nobody has thought of the log is told where it was."""
    if isinstance(error, GatewayError):
        return told(error, here)
    here.services.events.broke("web.broke", error, path=here.path)
    return told(GatewayError("The gateway failed; its log says where. Nothing more is known of the request."), here)


def _answer(error: GatewayError) -> flask.Response:
    return in_flask(told(error, visit()))


def _foreign(error: exceptions.HTTPException) -> flask.Response:
    if isinstance(error, exceptions.NotFound):
        known = strays.hint(flask.request.path)
        return _answer(NotFound(known or "There is nothing at this address; the README lists the routes."))
    if isinstance(error, exceptions.MethodNotAllowed):
        response = _answer(MethodNotAllowed(f"This address does not take {flask.request.method}."))
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response
    if isinstance(error, exceptions.RequestEntityTooLarge):
        return _answer(TooLarge("The body is too large."))
    if 400 <= (error.code or 500) < 500:
        return _answer(BadRequest("The request cannot be understood.", status=error.code))
    return _unforeseen(error)


def _unforeseen(error: Exception) -> flask.Response:
    return in_flask(told_of(error, visit()))
