"""GET /calls/ID: what became of a call, attempt by attempt."""

from __future__ import annotations

import flask

from app.core.calls import CallReport
from app.core.errors import Json, NotFound
from app.core.forms import ANY_TEXT, Parameter
from app.core.money import dollars
from app.core.openapi import Told
from app.core.shapes import dump
from app.web import quotas
from app.web.state import app_of, services
from app.web.told import json_of, tells

bp = flask.Blueprint("calls", __name__)

_STORY: Json = {
    "call_id": "string",
    "app": "string",
    "endpoint": "string",
    "agent": "string?",
    "models": ["string"],
    "stream": "boolean",
    "status": "integer",
    "outcome": "string",
    "served_model": "string?",
    "provider": "string?",
    "generation_id": "string?",
    "cost": "string?",
    "duration_s": "number",
    "first_byte_s": "number?",
    "attempts": ["object"],
}
_ID = Parameter("call_id", ANY_TEXT, "What x-orgate-call-id told of the call.")


@bp.get("/calls/<call_id>")
@tells(Told({200: json_of("The story of the call.", _STORY)}, path=(_ID,), refuses=(NotFound,)))
def call(call_id: str) -> flask.Response:
    """The story of one of the app's own calls, as long as the gateway remembers it."""
    quotas.take("models")
    report = services().stories.find(call_id, app_of().app)
    if report is None:
        raise NotFound("No call of this program with that id is remembered; the last 2000 calls are.")
    return flask.Response(dump(_shape(report)), content_type="application/json")


def _shape(report: CallReport) -> dict[str, Json]:
    usage = report.usage
    return {
        "call_id": report.call_id,
        "app": report.app,
        "endpoint": report.endpoint,
        "agent": report.agent,
        "models": [report.model, *report.fallbacks],
        "stream": report.stream,
        "status": report.status,
        "outcome": report.outcome,
        "served_model": report.served_model,
        "provider": report.provider,
        "generation_id": report.generation_id,
        "cost": dollars(usage.cost) if usage and usage.cost is not None else None,
        "duration_s": round(report.duration_s, 3),
        "first_byte_s": None if report.first_byte_s is None else round(report.first_byte_s, 3),
        "attempts": list(report.attempts),
        "cache": None if report.recall is None else report.recall.found,
        "cache_age_s": None if report.recall is None else report.recall.age_s,
    }
