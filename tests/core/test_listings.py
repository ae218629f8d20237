from __future__ import annotations

import pytest

from app.core.errors import BadRequest
from app.core.listings import for_claude
from app.sandbox.catalogue import published

MODELS = list(published())
IDS = [model["id"] for model in MODELS]


def test_claude() -> None:
    """A page in Anthropic's shape has the first models, and says that there are more."""
    page = for_claude(MODELS, {})

    assert IDS[:20] == [each["id"] for each in page["data"]]
    assert {"type", "id", "display_name", "created_at"} == set(page["data"][0])
    assert (True, IDS[0], IDS[19]) == (page["has_more"], page["first_id"], page["last_id"])


def test_claude_all() -> None:
    """With the limit that Claude Code asks for, all of them fit."""
    page = for_claude(MODELS, {"limit": "1000"})

    assert (IDS, False) == ([each["id"] for each in page["data"]], page["has_more"])


def test_claude_paging() -> None:
    """Pages after pages make the whole list, and the one before the last page is found too."""
    seen: list[str] = []
    query = {"limit": "100"}
    while True:
        page = for_claude(MODELS, query)
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        query["after_id"] = page["last_id"]
    before = for_claude(MODELS, {"limit": "5", "before_id": IDS[10]})

    assert IDS == seen
    assert (IDS[5:10], True) == ([each["id"] for each in before["data"]], before["has_more"])


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "many"}, {"limit": "10001"}, {"after_id": "no/such"}])
def test_claude_refused(query: dict[str, str]) -> None:
    """A page that cannot be is refused."""
    with pytest.raises(BadRequest):
        for_claude(MODELS, query)


def test_claude_nothing() -> None:
    """An empty list has no first and no last."""
    assert {"data": [], "has_more": False, "first_id": None, "last_id": None} == for_claude([], {})
