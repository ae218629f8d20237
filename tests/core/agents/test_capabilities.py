from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from app.core.agents.agent import camel
from app.core.agents.capabilities import NAMES, doubts
from app.core.agents.reading import read
from app.core.catalogue import by_name, entry_in
from tests.core.agents.documented import RUNS, SMART

ENTRIES = by_name(json.loads(files("app.sandbox").joinpath("data/models.json").read_bytes()))


def found(text: str) -> tuple[str, ...]:
    """What OpenRouter's catalogue says against the agent in this text."""
    return doubts(read("a", text), lambda model: entry_in(ENTRIES, model))


def test_documented_research() -> None:
    """The document's first agent promises more than its models keep, and two of them are listed no more."""
    said = "is not in OpenRouter's catalogue: it may not answer, and nothing is known of it."

    assert (
        "openai/gpt-4 takes no images (vision).",
        f"anthropic/claude-3-opus-20240229 {said}",
        f"google/gemini-pro {said}",
    ) == found(RUNS)


def test_documented_smart() -> None:
    """Nothing speaks against the second."""
    assert () == found(SMART)


@pytest.mark.parametrize(
    ("model", "wanted", "expected"),
    [
        ("openai/gpt-4o", "vision = true, functionCalling = true, streaming = true", ()),
        ("openai/gpt-4o:nitro", "vision = true", ()),
        ("openai/gpt-4", "vision = false", ()),
        ("openai/gpt-4", "vision = true, audio = true", ("takes no images (vision)", "takes no audio (audio)")),
        ("openai/gpt-4", "function_calling = true, reasoning = true", ("does not reason (reasoning)",)),
    ],
)
def test_each_model(model: str, wanted: str, expected: tuple[str, ...]) -> None:
    """Every model of the chain must have every capability that is wanted."""
    told = found(f'model = "openai/gpt-4o"\nfallbackModels = ["{model}"]\ncapabilities = {{ {wanted} }}')

    assert [f"{model} {said}." for said in expected] == [one for one in told if not one.startswith("openai/gpt-4o ")]


@pytest.mark.parametrize("name", NAMES)
def test_every_capability(name: str) -> None:
    """Each capability is one that some models of the catalogue have."""
    promise = f"capabilities = {{ {camel(name)} = true }}"

    assert any(() == found(f'model = "{model}"\n{promise}') for model in list(ENTRIES)[:600])


@pytest.mark.parametrize("entry", [{}, {"architecture": None}, {"architecture": {"input_modalities": "image"}}])
def test_strange_entries(entry: dict[str, Any]) -> None:
    """An entry that does not say what its model can do speaks against it."""
    agent = read("a", 'model = "x/y"\ncapabilities = { vision = true }')

    assert ("x/y takes no images (vision).",) == doubts(agent, lambda _: entry)
