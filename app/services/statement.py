"""What `orgate usage` and GET /usage tell: the sums, the budgets and who is paused, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from app.core import span
from app.core.errors import GatewayError, Json
from app.core.ledger import BY, UsageReport, UsageRow
from app.core.money import dollars
from app.core.ports import Pauses
from app.services.usage import Standing, Usage


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
