from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.main import cli
from tests.upstream import ScriptedUpstream

NOBODY_KNOWS = {"per_hour": {"1h": None, "24h": None, "7d": None}, "ends_at": None, "reason": "not_enough_data"}
KEY = {"label": "sk-or-v1-a...z", "used": 3.5, "limit": None, "limit_remaining": None, "limit_reset": None}


def shown(gateway: ScriptedUpstream, *, usage: dict[str, Any] | None = None, **figures: Any) -> str:
    """What `orgate credits` prints of a gateway that tells these figures."""
    whole = {
        "total_credits": 25,
        "used_credits": 7.5,
        "remaining_credits": 17.5,
        "usage": {**KEY, "is_free_tier": False, **(usage or {})},
        "age_s": 3,
        "stale": False,
        "estimated": False,
        "forecast": NOBODY_KNOWS,
        "free_requests": None,
        **figures,
    }
    whole["forecast"] = {"unusual": None, **whole["forecast"]}
    gateway.give("/api/openrouter/credits", 200, whole)
    ended = CliRunner().invoke(cli, ["credits", "--url", gateway.url], env={"ORGATE_TOKEN": "x"})
    assert 0 == ended.exit_code, ended.output
    return ended.output


def forecast(
    day: float | None, left: timedelta | None = None, reason: str | None = None, **rest: Any
) -> dict[str, Any]:
    """A forecast by the pace of the last day."""
    ends_at = None if left is None else (datetime.now(UTC) + left).isoformat(timespec="milliseconds")
    return {"per_hour": {"1h": 2.0, "24h": day, "7d": 0.1}, "ends_at": ends_at, "reason": reason, **rest}


def test_pace_and_end(upstream: ScriptedUpstream) -> None:
    """The pace is told with the day on which the money ends."""
    left = timedelta(days=6, minutes=5)
    day = datetime.now().astimezone() + left

    text = shown(upstream, forecast=forecast(0.12, left))

    assert f"$0.12 an hour over the last day; the money ends in about 6 days ({day.day} {day:%b}" in text


def test_end_in_another_year(upstream: ScriptedUpstream) -> None:
    """A day of another year is told with the year."""
    year = datetime.now().year + 2

    assert f" {year})" in shown(upstream, forecast=forecast(0.12, datetime(year, 7, 1, tzinfo=UTC) - datetime.now(UTC)))


def test_end_by_the_hour(upstream: ScriptedUpstream) -> None:
    """Until a day is known the pace is that of the last hour."""
    assert "$2.00 an hour over the last hour; the money ends in about 4 hours (" in shown(
        upstream, forecast=forecast(None, timedelta(hours=4, minutes=1))
    )


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (NOBODY_KNOWS, "Pace      not enough data yet"),
        (forecast(0, reason="nothing_spent"), "Pace      nothing spent over the last day; the money lasts"),
        (
            forecast(1, reason="balance_unknown"),
            "the last day; when the money ends is not known, since the balance is not",
        ),
        (forecast(1, reason="spent"), "$1.00 an hour over the last day; nothing is left"),
        (forecast(1, reason="spent", unusual=True), "over the last day, far above the usual: $2.00 in the last hour;"),
    ],
    ids=["no history", "nothing spent", "unknown", "spent", "unusual"],
)
def test_pace_without_end(upstream: ScriptedUpstream, told: dict[str, Any], words: str) -> None:
    """Where no end can be told it is said why."""
    assert words in shown(upstream, forecast=told)


def test_key_cap(upstream: ScriptedUpstream) -> None:
    """What the key may spend stands apart from the balance."""
    capped = shown(upstream, usage={"limit": 10, "limit_remaining": 6.5, "limit_reset": "daily"})

    assert "Key cap   $6.50 of $10.00 left, daily" in capped
    assert "$17.50 of $25.00" in capped
    assert "Key cap   none" in shown(upstream)


def test_free_requests(upstream: ScriptedUpstream) -> None:
    """The day's requests to free models are told where they are known."""
    both = shown(upstream, free_requests={"used": 3, "limit": 50, "remaining": 47})
    one = shown(upstream, free_requests={"used": 3, "limit": None, "remaining": None})

    assert "Free      47 of 50 requests to free models left today" in both
    assert "Free      3 requests to free models today" in one
    assert "Free" not in shown(upstream)
