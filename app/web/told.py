"""What a route takes and gives, said once at its view: the view reads by it, and /openapi.json tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

import flask

from app.core.errors import Json
from app.core.forms import Kind, Parameter, shape
from app.core.openapi import JSON, Answer, Told

P = ParamSpec("P")
View = Callable[P, flask.Response]

_NAME = "told"
_YES, _NO = ("true", "True", "1"), ("false", "False", "0")

FORCE = Parameter(
    "force",
    Kind("true or false", {"type": "string", "enum": [*_YES, *_NO]}, lambda text: text in (*_YES, *_NO)),
    "Ask OpenRouter now; at most once a second.",
)


def tells(told: Told) -> Callable[[View[P]], View[P]]:
    """Mark a view with what it takes and gives."""

    def marked(view: View[P]) -> View[P]:
        setattr(view, _NAME, told)
        return view

    return marked


def told_of(app: flask.Flask, endpoint: str) -> Told | None:
    """What the view of this endpoint tells of itself."""
    told: Told | None = getattr(app.view_functions[endpoint], _NAME, None)
    return told


def arguments() -> dict[str, str]:
    """The URL's arguments that this route knows: what it does not tell it takes, it cannot read."""
    told = told_of(flask.current_app, flask.request.endpoint or "")
    given = flask.request.args
    return {one.name: given[one.name] for one in (told.query if told else ()) if one.name in given}


def is_forced() -> bool:
    """Whether OpenRouter is to be asked now; raises BadRequest."""
    return FORCE.of(arguments()) in _YES


def json_of(about: str, members: Json, **headers: str) -> Answer:
    """An answer of JSON in the short form of `shape`; of headers, "_" stands for "-"."""
    return Answer(about, {JSON: shape(members)}, {name.replace("_", "-"): told for name, told in headers.items()})
