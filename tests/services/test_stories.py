from __future__ import annotations

import pytest

from app.core.calls import CallReport
from app.services import stories as stories_module
from app.services.stories import Stories


def report(call_id: str, app: str = "notes", status: int = 200) -> CallReport:
    """A call that is over."""
    return CallReport(
        call_id=call_id,
        app=app,
        endpoint="/chat/completions",
        model="a/b",
        fallbacks=(),
        stream=False,
        status=status,
        outcome="answered",
        duration_s=1.0,
        first_byte_s=0.5,
        attempts=(),
    )


@pytest.mark.parametrize(
    ("app", "seen"),
    [("notes", True), ("orgate", True), ("other", False), ("", False)],
    ids=["own", "owner", "other", ""],
)
def test_whose_story(app: str, seen: bool) -> None:
    """A call's story is for the app that made it, and for the owner."""
    stories = Stories()
    stories.keep(report("req_1"))

    assert (report("req_1") if seen else None) == stories.find("req_1", app)


def test_unknown_call() -> None:
    """Of a call that never was there is no story."""
    assert Stories().find("req_1", "orgate") is None


def test_story_told_again() -> None:
    """What was said last of a call stands."""
    stories = Stories()
    stories.keep(report("req_1", status=502))
    stories.keep(report("req_1"))

    assert report("req_1") == stories.find("req_1", "notes")


def test_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many stories are kept; the oldest goes first."""
    monkeypatch.setattr(stories_module, "_KEPT", 3)
    stories = Stories()
    for number in range(5):
        stories.keep(report(f"req_{number}"))

    assert [False, False, True, True, True] == [bool(stories.find(f"req_{number}", "notes")) for number in range(5)]
