from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.core import catalogue, forms, idempotency, ledger, listings, wishes
from app.core.errors import BadRequest
from app.core.forms import Exactly, Field, Kind, Maybe, Parameter, shape
from app.services import lookups
from tests.core.quick import quick

KINDS = [value for value in vars(forms).values() if isinstance(value, Kind)]
PARAMETERS = [
    *wishes.HEADERS.values(),
    idempotency.KEY,
    idempotency.MEMORY,
    *catalogue.ARGUMENTS,
    *listings.ARGUMENTS,
    ledger.BY,
    lookups.GENERATION,
    lookups.AUTHOR,
    lookups.SLUG,
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text(max_size=3) | st.just(" "),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=1), inner, max_size=1),
)
TEXTS = st.from_regex(r"\A-?[0-9]{1,6}(\.[0-9]{1,4})?\Z") | st.text(max_size=5) | st.from_regex(r"\A[!-~]{1,70}\Z")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.words)
@quick
@given(value=VALUES)
def test_kind(kind: Kind, value: object) -> None:
    """A kind tests what its schema says."""
    assert Draft202012Validator(dict(kind.schema)).is_valid(value) == kind.holds(value)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
@quick
@given(text=TEXTS)
def test_parameter(parameter: Parameter, text: str) -> None:
    """A text that is taken is one that the description allows, read as the type that it has there."""
    kinds = {"integer": int, "number": float}
    read = kinds.get(str(parameter.kind.schema.get("type")), str)

    if parameter.kind.holds(text):
        value = text.strip() if read is str and "pattern" in parameter.kind.schema else read(text)
        assert Draft202012Validator(dict(parameter.schema())).is_valid(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("queue", "0"),
        ("queue", "86400"),
        ("timeout", "0.001"),
        ("timeout", "60.5"),
        ("delivery", "whole"),
        ("clamp", "1"),
    ],
)
def test_wishes(name: str, text: str) -> None:
    """What the description of a wish allows is taken."""
    assert text == wishes.HEADERS[name].of({wishes.HEADERS[name].name: text})


def test_absent() -> None:
    """Absent and null are the same, unless the field is needed; the empty text of a parameter is none."""
    field = Field("size", forms.TEXT, "How large.")

    assert field.of({}) is None
    assert field.of({"size": None}) is None
    assert Parameter("size", forms.TEXT, "How large.").of({"size": ""}) is None
    with pytest.raises(BadRequest, match=r"^size must be a text that is not empty\.$"):
        Field("size", forms.TEXT, "How large.", is_needed=True).of({})


def test_shape() -> None:
    """The short form of an answer becomes the schema that it stands for."""
    schema = shape({"a": "string", "b": "number?", "c": [{"d": Maybe("integer")}], "e": Exactly({"const": 1})})
    validator = Draft202012Validator(schema)
    good = {"a": "", "b": None, "c": [{"d": None}, {"d": 2}], "e": 1, "more": 0}

    assert validator.is_valid(good)
    for wrong in ({"a": None}, {"b": "1"}, {"c": {}}, {"c": [{}]}, {"c": [{"d": "2"}]}, {"e": 2}):
        assert not validator.is_valid({**good, **wrong}), wrong
    assert not validator.is_valid({name: value for name, value in good.items() if name != "a"})
