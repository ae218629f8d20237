"""How things stand, for terminals and status bars."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tray import rows, words
from tray.figures import Json
from tray.rows import Choices
from tray.state import Snapshot


def as_json(snapshot: Snapshot, now: datetime, *, hidden: bool = False) -> dict[str, Json]:
    """
    How things stand as plain JSON; money in dollars, null where it is not known.

    `text`, `tooltip` and `class` are what Waybar's custom modules read. `hidden` keeps amounts out of the texts only.
    """
    found, place = snapshot.credits, snapshot.reading.base_url
    title = words.title(snapshot, now, hidden=hidden)
    return {
        "state": str(snapshot.state),
        "trouble": None if snapshot.trouble is None else str(snapshot.trouble),
        "sentence": words.sentence(snapshot, now, hidden=hidden),
        "remaining_credits": _number(found.remaining if found else None),
        "key_remaining": _number(found.cap.left if found and found.cap else None),
        "spent_today": _number(snapshot.today.total if snapshot.today else None),
        "spent_month": _number(snapshot.month.total if snapshot.month else None),
        "as_of": _moment(found.as_of if found else None),
        "ends_at": _moment(found.ends_at if found else None),
        "paused": sorted(snapshot.paused),
        "base_url": place,
        "badge": words.badge(snapshot, hidden=hidden),
        "title": title,
        "rows": rows.texts(rows.rows(snapshot, Choices(hide_amounts=hidden), now)),
        "text": _short(snapshot, hidden),
        "tooltip": title,
        "class": str(snapshot.state),
    }


def as_lines(snapshot: Snapshot, now: datetime, *, hidden: bool = False) -> list[str]:
    """How things stand in a few lines."""
    sentence = words.sentence(snapshot, now, hidden=hidden)
    facts = rows.texts(tuple(rows.facts(snapshot, Choices(hide_amounts=hidden), now)))
    return [sentence, *(f"  {line}" for line in facts if line != sentence)]


def as_line(snapshot: Snapshot, now: datetime, *, hidden: bool = False) -> str:
    """How things stand in one line."""
    return f"{snapshot.state:<8} {words.title(snapshot, now, hidden=hidden).removeprefix('orgate: ')}"


def _short(snapshot: Snapshot, hidden: bool) -> str:
    if snapshot.amount is None:
        return {"ok": "?", "stale": "?"}.get(snapshot.state, snapshot.state.replace("_", " "))
    return words.money(snapshot.amount.dollars, hidden=hidden)


def _number(dollars: Decimal | None) -> float | None:
    return None if dollars is None else float(dollars)


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
