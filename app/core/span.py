"""Stretches of time as people name them: "7d", "today", "2026-11-22"."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from app.core.budget import begin_of
from app.core.errors import BadRequest
from app.core.forms import Kind, Parameter
from app.core.frozen import frozen

HOUR_S = 3600
DAY_S = 24 * HOUR_S

_AGO = re.compile(r"([0-9]{1,5})([hd])")
_UNITS_S = {"h": HOUR_S, "d": DAY_S}
_PERIODS = {"today": "day", "week": "week", "month": "month"}

_MOMENT = Kind(
    "a date or a time by ISO 8601 such as 2026-11-22, or 24h, 7d, today, week, month",
    {"type": "string", "examples": ["7d", "2026-11-22", "today"]},
    lambda text: isinstance(text, str),
)
SINCE = Parameter("since", _MOMENT, "Where the stretch begins; without it at the beginning of all.")
UNTIL = Parameter("until", _MOMENT, "Where it ends; without it now.")


@frozen
class Span:
    """A stretch of whole hours, in seconds since 1970."""

    since: float | None
    """None is from the beginning."""
    until: float
    """Not included; the moment of asking, unless an earlier one was asked for."""
    ends_now: bool
    """It goes on up to the moment of asking."""


def read(since: str | None, until: str | None, now: float) -> Span:
    """The stretch between two moments as texts, widened to whole hours; raises BadRequest."""
    begin = None if since is None else _hour(moment(since, now, "since"))
    end = now if until is None else -_hour(-moment(until, now, "until"))
    if begin is not None and begin > min(end, now):
        raise BadRequest("since lies after until, or in the future.", param="since")
    return Span(begin, min(end, now), end >= now)


def moment(text: str, now: float, param: str) -> float:
    """
    The moment that a text names, in seconds since 1970; raises BadRequest with `param` for what names none.

    "24h" and "7d" are so long ago; "today", "week" and "month" the beginning of the present one; else a date or a time
    by ISO 8601, in UTC where it names no zone.
    """
    found = _AGO.fullmatch(text.strip().lower())
    if found is not None:
        return max(0.0, now - int(found[1]) * _UNITS_S[found[2]])
    period = _PERIODS.get(text.strip().lower())
    return begin_of(period, now) if period is not None else _date(text, param)


def iso(seconds: float) -> str:
    """A moment in seconds since 1970 as ISO 8601 with whole seconds, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(text: str, param: str) -> float:
    try:
        found = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise BadRequest(f"{param} takes {_MOMENT.words}.", param=param) from None
    return max(0.0, (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _hour(seconds: float) -> float:
    return float(seconds // HOUR_S * HOUR_S)
