"""What the gateway's answers say, read into values; money in dollars, and what is not known is None, never 0."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Json = Any
"""A decoded JSON value; its shape is only known to the party that sent it."""

EVERYBODY = "*"
"""Stands for all programs where one is named."""

KEY_CODES = frozenset({"upstream_key_refused", "authentication"})
"""The codes by which OpenRouter's refusal of the key is known; nothing but lack of money stops everything besides."""


class Unreadable(ValueError):
    """The answer is not what a gateway says."""


@dataclass(frozen=True)
class Cap:
    """What the gateway's key may spend."""

    left: Decimal
    limit: Decimal | None
    resets: str | None
    """ "daily", "weekly", "monthly", or None for never."""


@dataclass(frozen=True)
class FreeRequests:
    """Requests to free models today, of the whole account."""

    used: int
    limit: int
    left: int


@dataclass(frozen=True)
class Credits:
    """The account's money, from GET /credits."""

    remaining: Decimal | None
    """What is left on the account; None when OpenRouter does not tell it to this key."""
    total: Decimal | None
    """All that was ever bought."""
    cap: Cap | None
    """None when the key has no cap, or it is not known."""
    as_of: float
    """Seconds since 1970 when OpenRouter was asked."""
    stale: bool
    """OpenRouter could not be asked again."""
    per_hour: Decimal | None
    """The pace of the last day, or of the last hour until that is known."""
    last_hour: Decimal | None
    """What the last hour cost."""
    ends_at: float | None
    """Seconds since 1970 when the money ends at that pace."""
    no_end: str | None
    """Why there is no such moment, in the gateway's word: "not_enough_data", "nothing_spent", …"""
    unusual: bool | None
    """The last hour cost far more than the usual; None when that is not known."""
    free: FreeRequests | None
    marks: tuple[Decimal, ...] | None
    """The amounts below which to warn, the largest first; None when the gateway does not tell them."""


@dataclass(frozen=True)
class Budget:
    """What a program may still spend in a period."""

    app: str
    period: str
    limit: Decimal
    left: Decimal


@dataclass(frozen=True)
class Usage:
    """Spending since some moment, from GET /usage?by=app."""

    total: Decimal
    by_app: tuple[tuple[str, Decimal], ...]
    """Program and what it cost, the dearest first."""
    budgets: tuple[Budget, ...]
    paused: frozenset[str] | None
    """The paused programs, EVERYBODY for all of them; None when the gateway cannot tell."""


@dataclass(frozen=True)
class Health:
    """Whether calls can be answered, from GET /health with a token."""

    error: str | None
    """Why they cannot, in words."""
    closed: str | None
    """The code of the refusal because of which nothing at all is sent, such as "insufficient_credits"."""
    resting: tuple[str, ...]
    """The models that are passed over for a while."""


@dataclass(frozen=True)
class Notice:
    """One event of GET /events."""

    id: int
    at: float
    """Seconds since 1970."""
    kind: str
    """ "alert", "credits", "paused" or "resumed"."""
    event: str
    message: str
    facts: Mapping[str, Json]


def decode(text: str | bytes) -> Json:
    """The JSON value, its numbers as they were written; raises Unreadable."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Unreadable("no JSON") from None


def credits(answer: Json) -> Credits:
    """The figures in an answer of /credits; raises Unreadable."""
    told = _object(answer)
    if "remaining_credits" not in told:
        raise Unreadable("no balance, not even an unknown one")
    key, forecast = _object(told.get("usage") or {}), _object(told.get("forecast") or {})
    pace = _object(forecast.get("per_hour") or {})
    marks = told.get("marks")
    return Credits(
        remaining=amount(told["remaining_credits"]),
        total=amount(told.get("total_credits")),
        cap=_cap(key),
        as_of=_required(told.get("as_of")),
        stale=told.get("stale") is True,
        per_hour=next((found for name in ("24h", "1h") if (found := amount(pace.get(name))) is not None), None),
        last_hour=amount(pace.get("1h")),
        ends_at=moment(forecast.get("ends_at")),
        no_end=_text(forecast.get("reason")),
        unusual=forecast.get("unusual") if isinstance(forecast.get("unusual"), bool) else None,
        free=_free(told.get("free_requests")),
        marks=descending(amount(one) for one in marks) if isinstance(marks, list) else None,
    )


def usage(answer: Json) -> Usage:
    """The sums in an answer of /usage by app; raises Unreadable."""
    told = _object(answer)
    total = amount(told.get("total_cost"))
    if total is None:
        raise Unreadable("no total")
    rows = [_object(row) for row in _list(told.get("data"))]
    costs = [(_text(row.get("app")) or "unknown", amount(row.get("cost")) or Decimal(0)) for row in rows]
    paused = told.get("paused")
    return Usage(
        total=total,
        by_app=tuple(sorted(costs, key=lambda row: (-row[1], row[0]))),
        budgets=tuple(filter(None, map(_budget, _list(told.get("budgets"))))),
        paused=frozenset(name for name in paused if isinstance(name, str)) if isinstance(paused, list) else None,
    )


def health(answer: Json) -> Health:
    """The state in an answer of /health; raises Unreadable."""
    told = _object(answer)
    if told.get("status") not in ("healthy", "unhealthy"):
        raise Unreadable("no status")
    breakers = _object(told.get("breakers") or {})
    models = breakers.get("models")
    return Health(
        error=_text(told.get("error")),
        closed=_text(breakers.get("everything")),
        resting=tuple(sorted(models)) if isinstance(models, dict) else (),
    )


def notice(answer: Json) -> Notice:
    """The notice in the data of an event; raises Unreadable."""
    told = _object(answer)
    number = told.get("id")
    if not isinstance(number, int):
        raise Unreadable("no number")
    return Notice(
        id=number,
        at=_required(told.get("at")),
        kind=_text(told.get("kind")) or "",
        event=_text(told.get("event")) or "",
        message=_text(told.get("message")) or "",
        facts=_object(told.get("facts") or {}),
    )


def refusal(answer: Json) -> tuple[str, str]:
    """Code and message of an error answer; both "" when it is none of the gateway's."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return _text(error.get("code")) or "", _text(error.get("message")) or ""


def amount(value: Json) -> Decimal | None:
    """An amount in dollars, from a number or a decimal string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < 10**12 else None


def moment(value: Json) -> float | None:
    """Seconds since 1970, from ISO 8601 with a zone; None for anything else."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.timestamp() if found.tzinfo else None


def descending(marks: Iterable[Decimal | None]) -> tuple[Decimal, ...]:
    """The marks that are known, the largest first."""
    return tuple(sorted({mark for mark in marks if mark is not None}, reverse=True))


def _cap(key: Mapping[str, Json]) -> Cap | None:
    left = amount(key.get("limit_remaining"))
    return None if left is None else Cap(left, amount(key.get("limit")), _text(key.get("limit_reset")))


def _free(value: Json) -> FreeRequests | None:
    found = [value.get(name) for name in ("used", "limit", "remaining")] if isinstance(value, dict) else []
    counts = [count for count in found if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    return FreeRequests(*counts) if len(counts) == 3 else None


def _budget(value: Json) -> Budget | None:
    told = _object(value)
    app, limit, left = _text(told.get("app")), amount(told.get("limit")), amount(told.get("left"))
    if app is None or limit is None or left is None:
        return None
    return Budget(app, _text(told.get("period")) or "", limit, left)


def _object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise Unreadable("no object")
    return value


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _text(value: Json) -> str | None:
    if not isinstance(value, str):
        return None
    # Programs choose some of the names that are shown.
    return "".join(each if each.isprintable() else " " for each in value[:500]).strip() or None


def _required(value: Json) -> float:
    found = moment(value)
    if found is None:
        raise Unreadable("no moment")
    return found


def _refuse(constant: str) -> None:
    raise Unreadable(constant)
