"""GET /usage: what was spent, by whom, and what each app may still spend."""

from __future__ import annotations

import flask

from app.core import span
from app.core.errors import Json, Unavailable
from app.core.forms import Exactly, Maybe
from app.core.ledger import BY
from app.core.openapi import Told
from app.core.shapes import dump
from app.services import statement
from app.web import quotas
from app.web.state import services
from app.web.told import arguments, json_of, tells

bp = flask.Blueprint("usage", __name__)

PAUSED = Maybe(["string"])
_ROW = {
    "calls": "integer",
    "attempts": "integer",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "cost": "string",
    "estimated": "string",
}
_BUDGET = {
    "app": "string",
    "period": "string",
    "limit": "string",
    "spent": "string",
    "held": "string",
    "left": "string",
    "resets_at": "string?",
}
_REPORT: Json = {
    "by": Exactly(BY.schema()),
    "since": "string?",
    "until": "string",
    "data": [_ROW],
    "total_cost": "string",
    "held": "string",
    "unsettled": "string",
    "outside": "string",
    "budgets": [_BUDGET],
    "paused": PAUSED,
}


@bp.get("/usage")
@tells(
    Told(
        {200: json_of("The sums, money in dollars as decimal texts.", _REPORT)},
        query=(BY, span.SINCE, span.UNTIL),
        refuses=(Unavailable,),
    )
)
def usage() -> flask.Response:
    """Spending of every app by day, app, model or agent, with what is held; money as decimal strings in dollars."""
    quotas.take("models")
    mine = services()
    told = statement.report(mine.usage, mine.pauses, arguments(), mine.clock.now())
    return flask.Response(dump(told), content_type="application/json")
