"""GET /usage: what was spent, by whom, and what each app may still spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import flask

from app.core import span
from app.core.errors import GatewayError, Json, Unavailable
from app.core.forms import Exactly, Maybe
from app.core.ledger import BY, UsageReport, UsageRow
from app.core.money import dollars
from app.core.openapi import Told
from app.core.ports import Pauses
from app.core.shapes import dump
from app.services.usage import Standing, Usage
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
    told = report(mine.usage, mine.pauses, arguments(), mine.clock.now())
    return flask.Response(dump(told), content_type="application/json")


def report(usage: Usage, pauses: Pauses, wanted: Mapping[str, str], now: float) -> dict[str, Json]:
    """The answer to `by`, `since` and `until`; raises BadRequest, and Unavailable when the ledger cannot be read."""
    time = span.read(span.SINCE.of(wanted), span.UNTIL.of(wanted), now)
    # A clock that was set back leaves rows up to a day ahead; they have been spent all the same.
    until = time.until + span.DAY_S if time.ends_now else time.until
    found = usage.report(BY.of(wanted) or "day", time.since or 0.0, until)
    return shape(time, found, usage.budgets(), who_is_paused(pauses))


def shape(
    time: span.Span, found: UsageReport, budgets: Sequence[Standing], paused: list[Json] | None
) -> dict[str, Json]:
    """The report as JSON."""
    by = found.by
    return {
        "by": by,
        "since": None if time.since is None else span.iso(time.since),
        "until": span.iso(time.until),
        "data": [_row(by, row) for row in found.rows],
        "total_cost": dollars(found.sums.settled),
        "held": dollars(found.sums.held),
        "unsettled": dollars(found.sums.unsettled),
        "outside": dollars(found.sums.outside),
        "budgets": [_standing(one) for one in budgets],
        "paused": paused,
    }


def who_is_paused(pauses: Pauses) -> list[Json] | None:
    """The paused apps, "*" for all of them; None when the record of pauses cannot be read."""
    with suppress(GatewayError):
        return sorted(pauses.paused())
    return None


def _row(by: str, row: UsageRow) -> dict[str, Json]:
    return {
        by: row.key or None,
        "calls": row.calls,
        "attempts": row.attempts,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "cost": dollars(row.cost),
        "estimated": dollars(row.estimated),
    }


def _standing(one: Standing) -> dict[str, Json]:
    return {
        "app": one.app,
        "period": one.period,
        "limit": dollars(one.limit),
        "spent": dollars(one.spent),
        "held": dollars(one.held),
        "left": dollars(one.left),
        "resets_at": None if one.resets_at is None else span.iso(one.resets_at),
    }
