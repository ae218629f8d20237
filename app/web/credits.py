"""GET /credits: the balance in the document's shape, with what OpenRouter's own SDKs read beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import flask

from app.core.errors import Json
from app.core.forecast import WINDOWS, Forecast
from app.core.forms import Exactly, Maybe
from app.core.money import json_number
from app.core.openapi import Told
from app.core.shapes import dump
from app.services.credits import Balance
from app.web import quotas
from app.web.state import services
from app.web.told import FORCE, is_forced, json_of, tells

bp = flask.Blueprint("credits", __name__)

_RATE = Maybe({"requests": "integer?", "interval": "string?"})
_BALANCE: Json = {
    "total_credits": "number?",
    "used_credits": "number?",
    "remaining_credits": "number?",
    "usage_limit": "number?",
    "rate_limit": _RATE,
    "usage": {
        "label": "string?",
        "used": "number?",
        "limit": "number?",
        "limit_remaining": "number?",
        "limit_reset": "string?",
        "is_free_tier": "boolean?",
        "rate_limit": _RATE,
    },
    "data": {"total_credits": "number?", "total_usage": "number?"},
    "source": Exactly({"enum": ["credits", "key"]}),
    "as_of": "string",
    "age_s": "number",
    "stale": "boolean",
    "estimated": "boolean",
    "forecast": {
        "per_hour": dict.fromkeys(WINDOWS, "number?"),
        "ends_at": "string?",
        "reason": "string?",
        "unusual": "boolean?",
    },
    "free_requests": Maybe({"used": "integer?", "limit": "integer?", "remaining": "integer?"}),
}


@bp.get("/credits")
@tells(Told({200: json_of("The balance; what nobody knows is null.", _BALANCE)}, query=(FORCE,), asks=True))
def credits() -> flask.Response:
    """What is left; a figure that nobody knows is null."""
    quotas.take("credits")
    told = _shape(services().credits.get(force=is_forced()))
    return flask.Response(dump(told), content_type="application/json")


def _shape(balance: Balance) -> dict[str, Json]:
    figures, key = balance.figures, balance.figures.key
    total, used = json_number(figures.total), json_number(figures.used)
    rate_limit = key.rate_limit if key else None
    return {
        "total_credits": total,
        "used_credits": used,
        "remaining_credits": json_number(figures.remaining),
        "usage_limit": json_number(key.limit) if key else None,
        "rate_limit": rate_limit,
        "usage": {
            "label": key.label if key else None,
            "used": json_number(key.used) if key else None,
            "limit": json_number(key.limit) if key else None,
            "limit_remaining": json_number(key.limit_remaining) if key else None,
            "limit_reset": key.limit_reset if key else None,
            "is_free_tier": key.is_free_tier if key else None,
            "rate_limit": rate_limit,
        },
        "data": {"total_credits": total, "total_usage": used},
        "source": figures.source,
        "as_of": moment(balance.fetched_at),
        "age_s": round(balance.age_s, 3),
        "stale": balance.stale,
        "estimated": balance.estimated,
        "forecast": forecast_shape(services().credits.forecast(figures.remaining), json_number),
        "free_requests": key.free_requests if key else None,
    }


def forecast_shape(forecast: Forecast, amount: Callable[[int | None], Json]) -> dict[str, Json]:
    """The forecast as JSON; `amount` writes nano-dollars."""
    return {
        "per_hour": {name: amount(pace) for name, pace in forecast.per_hour.items()},
        "ends_at": None if forecast.ends_at is None else moment(forecast.ends_at),
        "reason": forecast.reason,
        "unusual": forecast.unusual,
    }


def moment(seconds: float) -> str:
    """A moment in seconds since 1970 as ISO 8601 with milliseconds, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
