from __future__ import annotations

import pytest

from app.core.attempts import Cause, Phase, Tried
from app.core.errors import RateLimited


@pytest.mark.parametrize(
    ("phase", "sent"),
    [
        (Phase.NEW, False),
        (Phase.CONNECTING, False),
        (Phase.SENDING, False),
        (Phase.SENT, True),
        (Phase.HEADERS, True),
        (Phase.STREAMING, True),
        (Phase.COMMITTED, True),
        (Phase.ENDED, True),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_told(phase: Phase, sent: bool) -> None:
    """An attempt is told with its model, what it became, how far it got, and its time."""
    error = RateLimited("Wait, dear prompt.", code="upstream_rate_limited")
    tried = Tried("a/b", Cause.BUSY, error, phase, 1.23456)

    assert {
        "model": "a/b",
        "status": 429,
        "reason": "upstream_rate_limited",
        "sent": sent,
        "phase": phase.name.lower(),
        "seconds": 1.235,
    } == tried.told()


def test_order_of_phases() -> None:
    """The phases follow each other as an attempt goes through them."""
    assert [
        Phase.NEW,
        Phase.CONNECTING,
        Phase.SENDING,
        Phase.SENT,
        Phase.HEADERS,
        Phase.STREAMING,
        Phase.COMMITTED,
        Phase.ENDED,
    ] == sorted(Phase)
