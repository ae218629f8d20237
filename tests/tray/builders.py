"""Figures, readings and snapshots with only what a test cares about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from tray.figures import Budget, Cap, Credits, FreeRequests, Health, Usage
from tray.reading import Reading, Trouble
from tray.state import Snapshot, judge

MARKS = (Decimal(5), Decimal(1))
NOW = datetime(2026, 11, 22, 14, 5, 30, tzinfo=timezone(timedelta(hours=1)))
AT = NOW.timestamp()
PLACE = "http://127.0.0.1:6767"


def dollars(text: str | None) -> Decimal | None:
    """An amount, or none."""
    return None if text is None else Decimal(text)


def credits(remaining: str | None = "17.58", **rest: Any) -> Credits:
    """What is known of the money; amounts as texts."""
    cap, free = rest.pop("cap", None), rest.pop("free", None)
    whole: dict[str, Any] = {
        "total": dollars(rest.pop("total", None if remaining is None else "25")),
        "cap": None if cap is None else Cap(Decimal(cap[0]), dollars(cap[1]), cap[2] if len(cap) > 2 else None),
        "as_of": AT - 30,
        "stale": False,
        "per_hour": dollars(rest.pop("per_hour", None)),
        "last_hour": dollars(rest.pop("last_hour", None)),
        "ends_at": None,
        "no_end": None,
        "unusual": None,
        "free": None if free is None else FreeRequests(*free),
        "marks": None,
        **rest,
    }
    return Credits(remaining=dollars(remaining), **whole)


def usage(
    spent: Mapping[str, str] | None = None,
    *,
    budgets: tuple[tuple[str, str, str, str], ...] = (),
    paused: frozenset[str] | None = frozenset(),
) -> Usage:
    """What programs spent; budgets as (program, period, limit, left)."""
    rows = sorted(((name, Decimal(cost)) for name, cost in (spent or {}).items()), key=lambda row: -row[1])
    found = tuple(Budget(app, period, Decimal(limit), Decimal(left)) for app, period, limit, left in budgets)
    return Usage(sum((cost for _, cost in rows), Decimal(0)), tuple(rows), found, paused)


def reading(remaining: str | None = "17.58", **rest: Any) -> Reading:
    """A look without trouble."""
    today = rest.pop("today", usage())
    health = rest.pop("health", Health(None, None, ()))
    return Reading(AT, PLACE, None, "", credits(remaining, **rest), today, today, health)


def failed(trouble: Trouble, why: str = "") -> Reading:
    """A look that met trouble."""
    return Reading(AT, None if trouble is Trouble.DOWN else PLACE, trouble, why)


def seen(*readings: Reading, marks: tuple[Decimal, ...] = MARKS) -> Snapshot:
    """The snapshot after these looks."""
    found: Snapshot | None = None
    for one in readings:
        found = judge(one, found, marks)
    assert found is not None
    return found


def utc(*parts: int) -> float:
    """A moment in seconds since 1970."""
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]
