"""GET /credits: the balance in the document's shape, with what OpenRouter's own SDKs read beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import flask

from app.core.errors import Json
from app.core.money import json_number
from app.core.shapes import dump
from app.services.credits import Balance
from app.web import quotas
from app.web.state import services

bp = flask.Blueprint("credits", __name__)


@bp.get("/credits")
def credits() -> flask.Response:
    """What is left; a figure that nobody knows is null."""
    quotas.take("credits")
    force = flask.request.args.get("force", "").lower() in ("true", "1")
    return flask.Response(dump(_shape(services().credits.get(force=force))), content_type="application/json")


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
        "as_of": datetime.fromtimestamp(balance.fetched_at, UTC).isoformat(timespec="milliseconds"),
        "age_s": round(balance.age_s, 3),
        "stale": balance.stale,
        "estimated": balance.estimated,
    }
