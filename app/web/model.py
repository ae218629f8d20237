"""GET /models/ID: one model, in the shape that the SDK which asks can read."""

from __future__ import annotations

import re

import flask

from app.core import listings
from app.core.catalogue import Model
from app.core.errors import Json, NotFound
from app.core.forms import Kind, Parameter
from app.core.openapi import Told
from app.core.shapes import dump
from app.web import quotas
from app.web.state import services
from app.web.told import json_of, tells

bp = flask.Blueprint("model", __name__)

_ID = re.compile(r"~?[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9._:@-]*")
_NAME = Parameter(
    "name",
    Kind("author/name", {"type": "string", "examples": ["openai/gpt-4o-mini"]}, lambda text: bool(_ID.fullmatch(text))),
    "The model's id, which is author/name; its slash may stand as it is.",
)


@bp.get("/models/<path:name>")
@tells(
    Told(
        {200: json_of("The model.", {"id": "string"})},
        path=(_NAME,),
        headers=(listings.ANTHROPIC,),
        refuses=(NotFound,),
        asks=True,
    )
)
def model(name: str) -> flask.Response:
    """OpenRouter's entry with what OpenAI's SDKs read beside it; Anthropic's own shape for its SDKs."""
    quotas.take("models")
    if not _NAME.kind.holds(name):
        raise NotFound("That is no id of a model, which is author/name. See: orgate models", param="model")
    entry = services().models.find(name, services().agents.shelf())
    shape = listings.one_for_claude(entry) if listings.ANTHROPIC.name in flask.request.headers else _openai(entry)
    return flask.Response(dump(shape), content_type="application/json")


def _openai(entry: Model) -> dict[str, Json]:
    return {**entry, "object": "model", "owned_by": entry["id"].lstrip("~").partition("/")[0]}
