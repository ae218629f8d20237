from __future__ import annotations

import pytest

from app.core.claude import by_key, is_short, key_of
from app.sandbox.catalogue import published

CATALOGUE = by_key(entry["id"] for entry in published())
OLD = by_key(["anthropic/claude-3.5-haiku", "anthropic/claude-3.7-sonnet", "anthropic/claude-3.7-sonnet:thinking"])


@pytest.mark.parametrize(
    ("short", "slug"),
    [
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("claude-haiku-4-5-20251001", "anthropic/claude-haiku-4.5"),
        ("claude-opus-4-1-20250805", "anthropic/claude-opus-4.1"),
        ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4"),
        ("claude-sonnet-4-0", "anthropic/claude-sonnet-4"),
        ("claude-opus-4-8", "anthropic/claude-opus-4.8"),
        ("claude-opus-4-8-fast", "anthropic/claude-opus-4.8-fast"),
        ("claude-sonnet-4-6[1m]", "anthropic/claude-sonnet-4.6"),
        ("claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("claude-fable-5", "anthropic/claude-fable-5"),
        ("claude-3-haiku-20240307", "anthropic/claude-3-haiku"),
        ("claude-sonnet-latest", "~anthropic/claude-sonnet-latest"),
    ],
)
def test_catalogue(short: str, slug: str) -> None:
    """The ids that Claude's programs send are found in OpenRouter's own list of August 2026."""
    assert slug == CATALOGUE[key_of(short)]


@pytest.mark.parametrize(
    "short", ["claude-3-5-haiku-20241022", "claude-3-5-haiku-latest", "claude-opus-9", "claude-next"]
)
def test_unknown(short: str) -> None:
    """A model that the list lacks is not taken for another one."""
    assert key_of(short) not in CATALOGUE


@pytest.mark.parametrize(
    ("short", "slug"),
    [
        ("claude-3-5-haiku-20241022", "anthropic/claude-3.5-haiku"),
        ("claude-3-5-haiku-latest", "anthropic/claude-3.5-haiku"),
        ("claude-3-7-sonnet-20250219", "anthropic/claude-3.7-sonnet"),
    ],
)
def test_older(short: str, slug: str) -> None:
    """The older way of writing a version first is understood where the list still has such a model."""
    assert slug == OLD[key_of(short)]


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4.5", "claude", "openai/gpt-4o", "gpt-4o", "my/claude-x"])
def test_not_short(model: str) -> None:
    """Only an id of Claude's without its author is a short one."""
    assert not is_short(model)


def test_every_model_is_found() -> None:
    """No two models of the list have the same words and version."""
    names = [entry["id"] for entry in published() if entry["id"].lstrip("~").startswith("anthropic/claude")]

    assert {name for name in names if ":" not in name} == set(CATALOGUE.values())
