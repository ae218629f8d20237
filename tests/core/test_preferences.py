from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest
from app.core.preferences import translate
from tests.core.quick import quick

GOOD: dict[str, list[Any]] = {
    "order": [[], ["anthropic", "openai"]],
    "only": [["azure"]],
    "ignore": [["deepinfra/fp8"]],
    "allow_fallbacks": [True, False],
    "require_parameters": [True],
    "data_collection": ["allow", "deny"],
    "zdr": [True],
    "enforce_distillable_text": [False],
    "quantizations": [["fp16", "int8"]],
    "sort": ["price", {"by": "latency", "partition": "none"}],
    "preferred_min_throughput": [50, 0.5, {"p90": 40}],
    "preferred_max_latency": [2, {"p50": 1.5}],
    "max_price": [{"prompt": 1, "completion": 2}],
}
BAD: dict[str, list[Any]] = {
    "order": ["anthropic", [1], {}],
    "only": ["azure", [None]],
    "ignore": [True],
    "allow_fallbacks": ["true", 1],
    "require_parameters": [0],
    "data_collection": ["maybe", True, [], {}],
    "zdr": ["yes"],
    "enforce_distillable_text": ["no"],
    "quantization": ["fp16", [8]],
    "quantizations": ["fp16", {}],
    "sort": [1, ["price"], False],
    "preferred_min_throughput": ["fast", True],
    "preferred_max_latency": [[1]],
    "max_price": [1, "cheap"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_known_preference(name: str, value: object) -> None:
    """OpenRouter's own preferences go through as they are."""
    assert translate({name: value}) is None


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_wrong_value(name: str, value: object) -> None:
    """A value of the wrong kind is refused under the preference's name."""
    with pytest.raises(BadRequest, match=f"provider.{name} takes") as refused:
        translate({name: value})

    assert f"provider.{name}" == refused.value.param


@pytest.mark.parametrize("name", [*GOOD, "quantization"])
def test_no_wish(name: str) -> None:
    """null is no wish, and passes everywhere."""
    assert translate({name: None}) in (None, {"quantizations": None})


def test_nothing() -> None:
    """Without preferences there is nothing to change."""
    assert (None, None) == (translate(None), translate({}))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        pytest.param({"quantization": ["fp16"]}, {"quantizations": ["fp16"]}, id="alone"),
        pytest.param(
            {"sort": "price", "quantization": ["fp16"], "zdr": True},
            {"sort": "price", "zdr": True, "quantizations": ["fp16"]},
            id="among others",
        ),
        pytest.param({"quantization": ["a"], "quantizations": None}, {"quantizations": ["a"]}, id="new one null"),
        pytest.param({"quantization": None, "quantizations": ["a"]}, {"quantizations": ["a"]}, id="old one null"),
    ],
)
def test_quantization(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """The document's quantization is sent under the name that OpenRouter knows."""
    before = dict(given)

    assert sent == translate(given)
    assert before == given


def test_both_quantizations() -> None:
    """Two lists of quantizations cannot both be meant."""
    with pytest.raises(BadRequest, match="both") as refused:
        translate({"quantization": ["fp16"], "quantizations": ["int8"]})

    assert "provider.quantization" == refused.value.param


@pytest.mark.parametrize("value", [[], "openai", 5, True], ids=repr)
def test_no_object(value: object) -> None:
    """Preferences are an object."""
    with pytest.raises(BadRequest, match="object") as refused:
        translate(value)

    assert "provider" == refused.value.param


@pytest.mark.parametrize("name", ["quantisation", "Order", "", "models", "x" * 1000])
def test_unknown_preference(name: str) -> None:
    """A preference that OpenRouter would refuse is refused here, by its name as far as that is short."""
    with pytest.raises(BadRequest) as refused:
        translate({name: True})

    assert f"provider.{name[:40]}" == refused.value.param
    assert len(refused.value.message) < 100


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "quantization", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
        max_size=3,
    )
)
@quick
def test_any_preferences(given: dict[str, Any]) -> None:
    """Whatever stands there is refused or sent on in OpenRouter's spelling, and good when it is checked again."""
    try:
        sent = translate(given)
    except BadRequest:
        return

    assert "quantization" not in (given if sent is None else sent)
    assert translate(given if sent is None else sent) is None
