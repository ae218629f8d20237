from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalogue import Model
from app.core.estimate import Estimate, affordable_tokens, hold_of
from app.core.money import NANO
from tests.core.quick import quick

ROOT = Path(__file__).parents[2]
CATALOGUE = json.loads((ROOT / "app/sandbox/data/models.json").read_bytes())
UNKNOWN = 123


def entry(
    prompt: Any = "0.000001", completion: Any = "0.000003", most: Any = 1000, context: Any = 100_000, **pricing: Any
) -> Model:
    """A catalogue entry: a dollar for a million tokens of the prompt, three for those of the answer."""
    return {
        "id": "a/b",
        "pricing": {"prompt": prompt, "completion": completion, **pricing},
        "context_length": context,
        "top_provider": {"max_completion_tokens": most},
    }


def hold(model: Model | None, size: int = 0, /, **body: Any) -> Estimate:
    """The hold of a body of so many bytes with these fields."""
    return hold_of(model, body, size, unknown=UNKNOWN)


def parts(*parts: Any) -> list[Any]:
    """The messages of a chat that has one, of these parts."""
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("model", "size", "body", "nanos"),
    [
        (entry(), 0, {}, 3_000_000),
        (entry(), 201, {}, 3_101_000),
        (entry(), 0, {"max_tokens": 10}, 30_000),
        (entry(), 0, {"max_completion_tokens": 10}, 30_000),
        (entry(), 0, {"max_tokens": 10, "max_completion_tokens": 20}, 60_000),
        (entry(), 0, {"max_tokens": 5000}, 3_000_000),
        (entry(), 0, {"max_tokens": 0}, 3_000_000),
        (entry(), 0, {"max_tokens": True}, 3_000_000),
        (entry(), 0, {"max_tokens": None}, 3_000_000),
        (entry(most=None), 0, {}, 300_000_000),
        (entry(most=None, context=None), 0, {"max_tokens": 10}, 30_000),
        (entry(), 0, {"max_tokens": 10, "n": 3}, 90_000),
        (entry(), 0, {"max_tokens": 10, "n": -3}, 30_000),
        (entry(), 10**6, {"max_tokens": 10}, 100_030_000),
        (entry(request="0.01"), 0, {"max_tokens": 10}, 10_030_000),
        (entry(internal_reasoning="0.000004"), 0, {"max_tokens": 10}, 40_000),
        (entry(internal_reasoning="0.000001"), 0, {"max_tokens": 10}, 30_000),
        (entry(image_output="0.00003"), 0, {"max_tokens": 10}, 30_000),
        (entry(image_output="0.00003"), 0, {"max_tokens": 10, "modalities": ["text", "image"]}, 300_000),
        (entry("0.0000000001", "0"), 2, {}, 1),
        (entry("0", "0"), 10**6, {}, 0),
        (entry("0", "0", most=None, context=None), 10**6, {}, 0),
        (entry(0, 0.000003), 0, {"max_tokens": 10}, 30_000),
        (entry("1000", "1000"), 10**6, {"n": 10**300}, 1000 * NANO),
    ],
)
def test_holds(model: Model, size: int, body: dict[str, Any], nanos: int) -> None:
    """A hold is the prompt's bytes by half plus the longest answer, at the model's prices."""
    assert Estimate(nanos, True) == hold(model, size, **body)


@pytest.mark.parametrize(
    "model",
    [
        None,
        {},
        {"pricing": "free"},
        {"pricing": {"prompt": "0.000001"}},
        entry("-1", "-1"),
        entry(None),
        entry("cheap"),
        entry("NaN"),
        entry("Infinity"),
        entry(True),
        entry({}),
        entry("1e999999"),
        entry("1e-999999"),
        entry(request="-1"),
        entry(overrides=[{"prompt": "dear"}]),
        entry(most=None, context=None),
        {**entry(most=None, context=None), "top_provider": None},
    ],
    ids=str,
)
def test_unknown_prices(model: Model | None) -> None:
    """Without a price, or a bound to the answer, the hold is the set sum and says so."""
    assert Estimate(UNKNOWN, False) == hold(model, 1000)


@pytest.mark.parametrize(
    ("overrides", "nanos"),
    [
        ([{"min_prompt_tokens": 200, "prompt": "0.000002"}], 130_000),
        ([{"min_prompt_tokens": 100, "prompt": "0.000002"}], 230_000),
        ([{"min_prompt_tokens": 100, "completion": "0.000006"}], 160_000),
        ([{"min_prompt_tokens": 100, "prompt": "0.0000005"}], 130_000),
        ([{"utc_start": 100, "utc_end": 200, "prompt": "0.000002", "completion": "0.000004"}], 240_000),
        ([{"prompt": "0.000003"}, {"prompt": "0.000002"}], 330_000),
        (["odd", {"min_prompt_tokens": "odd"}], 130_000),
        ("odd", 130_000),
    ],
)
def test_dear_times(overrides: Any, nanos: int) -> None:
    """Long prompts and hours of the day can make a model dearer: the dearest that can be meant is taken."""
    assert Estimate(nanos, True) == hold(entry(overrides=overrides), 200, max_tokens=10)


@pytest.mark.parametrize(
    ("ceiling", "nanos"),
    [
        ({"prompt": 0.5}, 80_000),
        ({"prompt": "0.5", "completion": 1}, 60_000),
        ({"prompt": 5, "completion": 5}, 130_000),
        ({"completion": 0}, 100_000),
        ({"completion": -1}, 130_000),
        ({"completion": "odd"}, 130_000),
        ({"completion": None}, 130_000),
        ({"completion": True}, 130_000),
        ("odd", 130_000),
        (None, 130_000),
    ],
)
def test_ceilings(ceiling: Any, nanos: int) -> None:
    """The caller's own max_price bounds the hold, as it bounds what OpenRouter may choose."""
    body = {"max_tokens": 10, "provider": {"max_price": ceiling}}

    assert Estimate(nanos, True) == hold(entry(), 200, **body)


def test_ceilings_per_piece() -> None:
    """What is paid per request or per image is bounded as it is, not by the million."""
    model = entry("0", "0", request="0.5", image="0.3")
    messages = parts({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}})

    held = hold(model, messages=messages, provider={"max_price": {"request": "0.25", "image": 0.1}})

    assert Estimate(350_000_000, True) == held


@pytest.mark.parametrize(
    ("part", "inline"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 50_000}"}}, 50_022),
        ({"type": "image_url", "image_url": "https://example.org/a.png"}, 0),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:;base64,{'A' * 100}"}}, 113),
        ({"type": "input_audio", "input_audio": {"data": "A" * 1000, "format": "wav"}}, 1000),
        ({"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}, 0),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_attachments(part: dict[str, Any], inline: int) -> None:
    """A picture, a file or a sound counts as 2000 tokens, however many bytes it brings."""
    messages = parts({"type": "text", "text": "Look"}, part)

    held = hold(entry(), 200 + inline, messages=messages, max_tokens=10)

    assert Estimate(2_130_000, True) == held


def test_priced_images() -> None:
    """A model with a price per picture takes it for each."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}

    held = hold(entry("0", "0", image="0.001"), messages=parts(picture, picture))

    assert Estimate(2_000_000, True) == held


@pytest.mark.parametrize("part", ["text", None, {}, {"type": 3}, {"type": "file"}, {"type": "file", "file": {}}])
def test_odd_parts(part: Any) -> None:
    """What is no attachment counts by its bytes."""
    held = hold(entry(), 200, messages=[*parts(part), "odd", {"content": 3}], max_tokens=10)

    assert Estimate(130_000, True) == held


@pytest.mark.parametrize(
    "body",
    [
        {"plugins": [{"id": "web"}]},
        {"plugins": [{"id": "response-healing"}, {"id": "web", "max_results": 3}]},
        {"tools": [{"type": "openrouter:web_search"}]},
        {"web_search_options": {}},
        {"model": "a/b:online"},
    ],
    ids=str,
)
def test_searches(body: dict[str, Any]) -> None:
    """Where the web may be searched, five searches are set aside: at the model's price, or Exa's."""
    assert Estimate(25_000_000, True) == hold(entry("0", "0", web_search="0.005"), **body)
    assert Estimate(100_000_000, True) == hold(entry("0", "0"), **body)


@pytest.mark.parametrize(
    "body",
    [
        {"plugins": [{"id": "web", "enabled": False}]},
        {"plugins": ["web"]},
        {"tools": [{"type": "function", "function": {"name": "web_search"}}]},
        {"web_search_options": None},
        {"model": "a/b"},
    ],
    ids=str,
)
def test_no_searches(body: dict[str, Any]) -> None:
    """What does not search pays for no search."""
    assert Estimate(0, True) == hold(entry("0", "0", web_search="0.005"), **body)


@pytest.mark.parametrize(
    ("model", "left", "tokens"),
    [
        (entry(), 130_000, 10),
        (entry(), 129_999, 9),
        (entry(), 100_000, 0),
        (entry(), 5, 0),
        (entry(), -5, 0),
        (entry(), NANO, 1000),
        (entry(most=None, context=None), NANO, 333_300),
        (entry("0", "0"), 0, 1000),
        (entry("0", "0", most=None, context=None), 0, None),
        (entry("-1", "-1"), NANO, None),
        (None, NANO, None),
    ],
)
def test_affordable(model: Model | None, left: int, tokens: int | None) -> None:
    """What is left after the prompt buys so many tokens; nobody knows where the price is not known."""
    assert tokens == affordable_tokens(model, {"max_tokens": 5}, 200, left)


@quick
@given(
    st.sampled_from(CATALOGUE),
    st.integers(0, 32 * 2**20),
    st.integers(0, 10 * NANO),
    st.fixed_dictionaries({}, optional={"n": st.integers(-1, 5), "plugins": st.just([{"id": "web"}])}),
)
def test_affordable_is_affordable(model: Model, size: int, left: int, body: dict[str, Any]) -> None:
    """The max_tokens that an amount buys never makes the hold larger than the amount."""
    tokens = affordable_tokens(model, body, size, left)

    if tokens:
        assert hold(model, size, **body, max_tokens=tokens).amount <= left


prices = st.none() | st.text(max_size=4) | st.decimals(allow_nan=True, allow_infinity=True).map(str) | st.floats()


@quick
@given(
    st.builds(entry, prices, prices, st.integers() | st.none(), st.integers() | st.none(), request=prices),
    st.integers(0, 2**25),
    st.fixed_dictionaries(
        {},
        optional={
            "max_tokens": st.integers() | st.floats() | st.text(max_size=3),
            "n": st.integers() | st.none(),
            "provider": st.fixed_dictionaries({"max_price": st.fixed_dictionaries({"prompt": prices})}),
            "messages": st.lists(st.dictionaries(st.just("content"), st.lists(st.none() | st.text(max_size=2)))),
        },
    ),
)
def test_bounds(model: Model, size: int, body: dict[str, Any]) -> None:
    """Whatever catalogue and app say, a hold is between nothing and $1000, and more bytes never make it less."""
    held, larger = hold(model, size, **body), hold(model, size + 1000, **body)

    assert 0 <= held.amount <= 1000 * NANO
    assert held.amount <= larger.amount
    assert held.priced == larger.priced


def test_every_listed_model() -> None:
    """Every model that OpenRouter lists has a hold, except the routers, whose price is -1."""
    unpriced = {model["id"] for model in CATALOGUE if not hold(model, 1000).priced}

    assert {model["id"] for model in CATALOGUE if Decimal(model["pricing"]["prompt"]) < 0} == unpriced
