from __future__ import annotations

from typing import Any

import pytest

from app.core.notices import Notice, kind_of, message, told


@pytest.mark.parametrize(
    ("event", "level", "kind"),
    [
        ("credits.low", "warning", "alert"),
        ("key.low", "warning", "alert"),
        ("credits.purchased", "info", "alert"),
        ("key.refused", "warning", "alert"),
        ("key.unusable", "warning", "alert"),
        ("budget.exceeded", "warning", "alert"),
        ("budget.refused", "warning", "alert"),
        ("ledger.unavailable", "warning", "alert"),
        ("ledger.broke", "error", "alert"),
        ("ledger.writes_again", "info", None),
        ("reconcile.outside", "warning", "alert"),
        ("worker.lost", "warning", "alert"),
        ("worker.ended", "info", None),
        ("credits.status", "info", "credits"),
        ("app.paused", "info", "paused"),
        ("app.resumed", "info", "resumed"),
        ("key.changed", "info", None),
        ("call.ended", "info", None),
        ("cache.refresh_failed", "warning", None),
        ("alert.command_failed", "warning", None),
    ],
)
def test_kinds(event: str, level: str, kind: str | None) -> None:
    """Alerts, new figures and pauses are told; the rest is for the log, and so is a command that fails on an alert."""
    assert kind == kind_of(event, level)


@pytest.mark.parametrize(
    ("event", "facts", "sentence"),
    [
        (
            "credits.low",
            {"below": "5", "remaining": "4.8732", "lasts": "about 6 days"},
            "Less than $5.00 is left at OpenRouter: $4.87; at the present pace that lasts about 6 days.",
        ),
        (
            "credits.low",
            {"below": "1", "remaining": "-1234.5"},
            "Less than $1.00 is left at OpenRouter: -$1,234.50.",
        ),
        ("key.low", {"below": "5", "remaining": "4.8"}, "The key may spend less than $5.00 more: $4.80."),
        (
            "credits.purchased",
            {"amount": "10", "remaining": None},
            "$10.00 of credits came in; an unknown amount is left at OpenRouter.",
        ),
        (
            "budget.exceeded",
            {"app": "editor", "limit": "5", "period": "day"},
            "editor has used up its budget of $5.00 a day.",
        ),
        (
            "budget.exceeded",
            {"app": "editor", "limit": "5", "period": "total"},
            "editor has used up its budget of $5.00.",
        ),
        (
            "budget.refused",
            {"app": "editor", "limit": "5", "period": "day", "wanted": "6", "left": "4.99"},
            "A call of editor was refused: it may cost $6.00, and of its budget of $5.00 a day $4.99 is left.",
        ),
        ("app.paused", {"app": "*", "ended": 3}, "Calls of every program are paused."),
        ("app.resumed", {"app": "editor"}, "Calls of editor are resumed."),
        ("key.refused", {"which": "management key"}, "OpenRouter refuses the management key; it was revoked, or"),
        (
            "ledger.unavailable",
            {"why": "the disk is full"},
            "The ledger cannot be written (the disk is full), so nothing is sent. See: orgate db",
        ),
        ("ledger.put_back", {}, "The ledger's file was removed; it was put back, and nothing is lost."),
        ("ledger.recovered", {"attempts": 3}, "The gateway was ended amid 3 attempts"),
        ("worker.lost", {"attempts": 3}, "One of the gateway's processes was ended amid 3 attempts"),
        (
            "ledger.restored",
            {"why": "the ledger was damaged", "backup": None},
            "The ledger was restored, since the ledger was damaged. Programs with a budget wait; see orgate usage",
        ),
        ("ledger.backup_failed", {"why": "The ledger cannot be copied to {x}."}, "The ledger cannot be copied to {x}."),
        ("ledger.clock_was_ahead", {}, "The computer's clock was unknown hours ahead"),
        ("ledger.broke", {"why": "ValueError"}, "ledger.broke: ValueError"),
        ("budget.odd", {}, "budget.odd"),
    ],
)
def test_message(event: str, facts: dict[str, Any], sentence: str) -> None:
    """Every notice has a sentence for people."""
    assert message(event, facts).startswith(sentence)


def test_told() -> None:
    """A notice goes out as plain JSON, its moment in UTC."""
    notice = Notice(7, 1_800_000_000.5, "alert", "key.low", "warning", {"below": "5", "remaining": "4"})

    assert {
        "id": 7,
        "at": "2027-01-15T08:00:00.500+00:00",
        "kind": "alert",
        "event": "key.low",
        "level": "warning",
        "message": "The key may spend less than $5.00 more: $4.00.",
        "facts": {"below": "5", "remaining": "4"},
    } == told(notice)
