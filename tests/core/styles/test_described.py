from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.core import preferences, sanitize
from app.core.errors import BadRequest
from app.core.styles import STYLES, Style
from tests.core.quick import quick

TEXTS = st.sampled_from(["", " ", "a/b", "user", "deny", "1"])
PLAIN = st.none() | st.booleans() | st.integers(-1, 3) | st.just(0.5) | TEXTS
MEMBERS = st.sampled_from(["role", "model", "content", "order", "zdr", "sort", "quantization", "quantizations"])
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(MEMBERS, inner, max_size=2))
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "elder"])}), max_size=2)
GOOD: dict[str, Any] = {
    "model": "a/b",
    "messages": [{"role": "user", "content": "Hi"}],
    "prompt": "Hi",
    "input": "Hi",
}


def _takes(style: Style, body: dict[str, Any]) -> bool:
    try:
        style.read(body)
        sanitize.sanitize(body, "check", 10_000, style)
        preferences.translate(body.get("provider"))
    except BadRequest:
        return False
    return True


@pytest.mark.parametrize("style", STYLES.values(), ids=lambda style: style.endpoint.strip("/"))
@quick
@given(data=st.data())
def test_description(style: Style, data: st.DataObject) -> None:
    """The gateway takes a request if and only if its description allows it, whatever stands in the fields."""
    validator = Draft202012Validator(style.schema())
    names = sorted({*style.schema()["properties"], "else"})
    fields = st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), VALUES | (MESSAGES if name in ("messages", "input") else VALUES))
    )
    changed = dict(data.draw(st.lists(fields, max_size=3)))
    left = data.draw(st.sets(st.sampled_from(sorted(GOOD)), max_size=2))
    body = {name: value for name, value in {**GOOD, **changed}.items() if name not in left}

    assert validator.is_valid(body) == _takes(style, body)


@pytest.mark.parametrize("style", STYLES.values(), ids=lambda style: style.endpoint.strip("/"))
def test_schema(style: Style) -> None:
    """Each description is a schema, and describes every field that the gateway itself does without sending it on."""
    Draft202012Validator.check_schema(style.schema())

    assert set(style.schema()["properties"]) >= set(style.chain_fields) - {"route"}
