from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalogue import Model
from app.core.errors import BadRequest, Forbidden
from app.core.grants import Grant
from app.core.policy import ceiling, check_models, read_ceiling, read_models, too_dear, under_ceiling
from tests.core.quick import quick


def grant(*models: str, **max_price: str) -> Grant:
    """A token with these models, and this ceiling in dollars per million tokens."""
    return Grant("jti", "notes", frozenset(), 0, 1, models=models, max_price=max_price)


def entry(prompt: Any, completion: Any) -> Model:
    """A catalogue entry with these dollars per token."""
    return {"id": "a/b", "pricing": {"prompt": prompt, "completion": completion}}


@pytest.mark.parametrize(
    ("allowed", "model"),
    [
        ((), "any/thing"),
        (("a/b",), "a/b"),
        (("a/*",), "a/b"),
        (("a/*",), "a/b:free"),
        (("x/y", "a/*"), "a/b:online"),
        (("a/b:free",), "a/b:free"),
        (("a/b@preset/mine",), "a/b@preset/mine"),
    ],
)
def test_allowed(allowed: tuple[str, ...], model: str) -> None:
    """A token may use the ids it names, and all of an author it names."""
    check_models(grant(*allowed), [model])


@pytest.mark.parametrize(
    ("allowed", "model"),
    [
        (("a/b",), "a/bc"),
        (("a/b",), "a/b:free"),
        (("a/b:free",), "a/b"),
        (("a/*",), "aa/b"),
        (("a/*",), "~a/b"),
        (("a/*",), "a"),
        (("a/*",), "a/b@preset/mine"),
        (("a/b",), "A/b"),
    ],
)
def test_not_allowed(allowed: tuple[str, ...], model: str) -> None:
    """A variant is an id of its own, and a preset, which may bring another model, is only what names it."""
    with pytest.raises(Forbidden) as caught:
        check_models(grant(*allowed), [model])

    assert ("model_not_allowed", "model") == (caught.value.code, caught.value.param)
    assert {"model": model, "allowed": list(allowed)} == caught.value.details
    assert model in caught.value.message
    assert allowed[0] in caught.value.message


def test_whole_chain() -> None:
    """Every model of a chain must be allowed."""
    with pytest.raises(Forbidden, match="c/d"):
        check_models(grant("a/*"), ["a/b", "c/d"])


@pytest.mark.parametrize(
    ("provider", "sent"),
    [
        (None, {"prompt": "1", "completion": "5"}),
        ({}, {"prompt": "1", "completion": "5"}),
        ({"max_price": None}, {"prompt": "1", "completion": "5"}),
        ({"max_price": {"prompt": 0.5}}, {"prompt": 0.5, "completion": "5"}),
        ({"max_price": {"prompt": "0.50", "completion": "7"}}, {"prompt": "0.50", "completion": "5"}),
        ({"max_price": {"prompt": 1, "image": "0.1"}}, {"prompt": 1, "completion": "5", "image": "0.1"}),
        ({"max_price": {"prompt": "odd", "completion": None}}, {"prompt": "1", "completion": "5"}),
        ({"max_price": {"prompt": "NaN", "completion": True}}, {"prompt": "1", "completion": "5"}),
        ({"max_price": {"prompt": "-Infinity", "completion": "1e999999"}}, {"prompt": "1", "completion": "5"}),
    ],
)
def test_ceiling(provider: dict[str, Any] | None, sent: dict[str, Any]) -> None:
    """The lower of two ceilings goes to OpenRouter, the caller's in its own spelling."""
    assert sent == ceiling(grant(prompt="1", completion="5"), provider)


def test_no_ceiling() -> None:
    """Without a ceiling the caller's preferences go as they came."""
    assert ceiling(grant("a/b"), {"max_price": {"prompt": 1}}) is None


amounts = st.none() | st.booleans() | st.floats() | st.integers() | st.decimals().map(str) | st.text(max_size=4)


@quick
@given(st.decimals(0, 100, places=3).map(str), amounts)
def test_ceiling_holds(limit: str, own: Any) -> None:
    """Whatever the caller sends, its ceiling is never above the token's."""
    sent = ceiling(grant(prompt=limit), {"max_price": {"prompt": own}})

    assert sent is not None
    assert Decimal(str(sent["prompt"])) <= Decimal(limit)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (entry("0.000001", "0.000005"), False),
        (entry("0.0000010001", "0.000005"), True),
        (entry("0.000001", "0.000006"), True),
        (entry("0", "0"), False),
        (entry("-1", "-1"), False),
        (entry(None, "odd"), False),
        (entry("1e999999", "0"), True),
        ({"id": "a/b"}, False),
        (None, False),
    ],
)
def test_too_dear(model: Model | None, expected: bool) -> None:
    """Too dear is what is known to cost more than the ceiling; what is not known, OpenRouter decides."""
    assert expected is too_dear(grant(prompt="1", completion="5"), model)


CATALOGUE = {"dear/one": entry("0.00001", "0.00003"), "dear/two": entry("1e999999", "0"), "cheap/one": entry("0", "0")}


def test_dear_ones_are_left_out() -> None:
    """A chain loses the models that are too dear and keeps its order."""
    chain = ("dear/one", "unknown/one", "dear/two", "cheap/one")

    assert ("unknown/one", "cheap/one") == under_ceiling(grant(prompt="1"), chain, CATALOGUE.get)
    assert chain == under_ceiling(grant(), chain, CATALOGUE.get)


def test_nothing_is_cheap_enough() -> None:
    """When no model is left the app is told what they cost and what its token pays."""
    with pytest.raises(Forbidden) as caught:
        under_ceiling(grant(prompt="1", completion="5"), ("dear/one", "dear/two"), CATALOGUE.get)

    assert "model_too_dear" == caught.value.code
    assert caught.value.details is not None
    assert {"prompt": "1", "completion": "5"} == caught.value.details["max_price"]
    assert {"prompt": "10", "completion": "30"} == caught.value.details["prices"]["dear/one"]
    assert "$1 (prompt) and $5 (completion)" in caught.value.message
    assert "dear/one costs $10 (prompt) and $30 (completion)" in caught.value.message


@pytest.mark.parametrize("name", ["a/b", "a/*", "a/b:free", "~a/latest", "@preset/mine", "a/b-1.5@preset/x", "a/b/c"])
def test_models_to_name(name: str) -> None:
    """A token may name every id that OpenRouter has, each once."""
    assert (name,) == read_models([name, name])


@pytest.mark.parametrize("name", ["", "a", "*", "*/*", "a/", "/b", "a/b*", "a b/c", "a/b,c/d", "a/b\n", "ä/b"])
def test_no_models(name: str) -> None:
    """What no model can be called is refused with how to write it."""
    with pytest.raises(BadRequest, match=r"author/\*"):
        read_models([name])


def test_prices_to_set() -> None:
    """A ceiling is kept as it was written."""
    assert {"prompt": "0", "completion": "1.50"} == read_ceiling({"prompt": "0", "completion": "1.50"})


@pytest.mark.parametrize("limit", ["", "-1", "1e3", "cheap", "NaN", "1,5", "١", "10000000"])
def test_no_prices(limit: str) -> None:
    """What is no price is refused."""
    with pytest.raises(BadRequest, match="per million"):
        read_ceiling({"prompt": limit})


def test_no_such_price() -> None:
    """A ceiling is for prompt and completion."""
    with pytest.raises(BadRequest):
        read_ceiling({"image": "1"})


@pytest.mark.parametrize("listed", ["agent/helper", "agent/*"])
def test_lent_models(listed: str) -> None:
    """A token that names an agent may use the agent's models through it, and no others, and not without it."""
    check_models(grant(listed), ["a/b", "c/d"], "agent/helper", ("a/b", "c/d"))

    for models, agent in ((["x/y"], "agent/helper"), (["a/b"], ""), (["a/b"], "helper")):
        with pytest.raises(Forbidden):
            check_models(grant(listed), models, agent, ("a/b", "c/d") if agent else ())


def test_not_lent() -> None:
    """An agent that the token does not name lends nothing: its models are allowed one by one."""
    check_models(grant("a/*"), ["a/b"], "agent/helper", ("a/b",))

    with pytest.raises(Forbidden):
        check_models(grant("agent/other", "a/*"), ["a/b", "c/d"], "agent/helper", ("a/b", "c/d"))
