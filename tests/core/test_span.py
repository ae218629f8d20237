from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import span
from app.core.errors import BadRequest
from tests.core.quick import quick

NOW = datetime(2026, 11, 25, 14, 35, 12, tzinfo=UTC).timestamp()
"""A Wednesday."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", "2026-11-24T14:35:12Z"),
        ("7d", "2026-11-18T14:35:12Z"),
        (" 30D ", "2026-10-26T14:35:12Z"),
        ("99999d", "1970-01-01T00:00:00Z"),
        ("today", "2026-11-25T00:00:00Z"),
        ("week", "2026-11-23T00:00:00Z"),
        ("Month", "2026-11-01T00:00:00Z"),
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2026-11-22T10:30", "2026-11-22T10:30:00Z"),
        ("2026-11-22t10:30:05z", "2026-11-22T10:30:05Z"),
        ("2026-11-22 10:30+02:00", "2026-11-22T08:30:00Z"),
        ("0001-01-01T00:00+14:00", "1970-01-01T00:00:00Z"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    """A moment is so long ago, the beginning of the present day, week or month, or a date or time by ISO 8601."""
    assert expected == span.iso(span.moment(text, NOW, "since"))


@pytest.mark.parametrize("text", ["", "soon", "7", "-7d", "7w", "1.5d", "\u0667d", "123456h", "2026-13-01", "x"])
def test_no_moments(text: str) -> None:
    """What names no moment is a bad request that names the parameter and says what it takes."""
    with pytest.raises(BadRequest, match="2026-11-22, or 24h, 7d") as caught:
        span.moment(text, NOW, "until")

    assert "until" == caught.value.param


def test_whole_hours() -> None:
    """A stretch is widened to whole hours, but not beyond the moment of asking."""
    found = span.read("2026-11-22T10:30", "2026-11-23T10:30", NOW)

    assert ("2026-11-22T10:00:00Z", "2026-11-23T11:00:00Z") == (span.iso(found.since or 0), span.iso(found.until))
    assert not found.ends_now


@pytest.mark.parametrize("until", [None, "2026-11-25T14:10", "2027-01-01", "9999-12-31T23:59:59-12:00"])
def test_up_to_now(until: str | None) -> None:
    """Without an end, and with one in this hour or later, it goes up to the moment of asking."""
    found = span.read(None, until, NOW)

    assert (None, NOW, True) == (found.since, found.until, found.ends_now)


@pytest.mark.parametrize(("since", "until"), [("2026-11-26", None), ("2026-11-26", "2026-11-27"), ("24h", "7d")])
def test_backwards(since: str, until: str | None) -> None:
    """A stretch that ends before it begins, or begins in the future, is a bad request."""
    with pytest.raises(BadRequest) as caught:
        span.read(since, until, NOW)

    assert "since" == caught.value.param


@quick
@given(st.text(max_size=20) | st.datetimes(timezones=st.just(UTC) | st.none()).map(lambda one: one.isoformat()))
def test_any_text(text: str) -> None:
    """Whatever the text, it is a moment since 1970 that can be told again, or a bad request."""
    try:
        found = span.moment(text, NOW, "since")
    except BadRequest:
        return

    assert found >= 0
    assert span.iso(found)
