from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest
from app.core.styles import CHAT
from app.core.styles.base import Wish
from tests.core.quick import quick

MESSAGES = [{"role": "user", "content": "Hi"}]
ABSENT = object()


def body(**fields: Any) -> dict[str, Any]:
    """A good body with these fields changed, or left out where they are ABSENT."""
    whole = {"model": "a/b", "messages": MESSAGES, **fields}
    return {name: value for name, value in whole.items() if value is not ABSENT}


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        pytest.param({}, Wish("a/b", (), False), id="the least"),
        pytest.param({"stream": True}, Wish("a/b", (), True), id="stream"),
        pytest.param({"stream": False}, Wish("a/b", (), False), id="no stream"),
        pytest.param({"stream": None}, Wish("a/b", (), False), id="stream null"),
        pytest.param({"models": ["c/d", "e/f"]}, Wish("a/b", ("c/d", "e/f"), False), id="fallbacks"),
        pytest.param({"models": []}, Wish("a/b", (), False), id="no fallbacks"),
        pytest.param({"models": None}, Wish("a/b", (), False), id="fallbacks null"),
        pytest.param({"messages": ABSENT, "prompt": "Hi"}, Wish("a/b", (), False), id="prompt"),
        pytest.param({"messages": [{"role": "user"}]}, Wish("a/b", (), False), id="no content"),
        pytest.param({"messages": [{"role": "wizard"}]}, Wish("a/b", (), False), id="role is sanitize's to judge"),
        pytest.param({"max_tokens": -1, "n": "x", "new_field": {}}, Wish("a/b", (), False), id="OpenRouter's to judge"),
    ],
)
def test_read(fields: dict[str, Any], wish: Wish) -> None:
    """From a body that can be sent the gateway learns model, fallbacks and whether to stream."""
    assert wish == CHAT.read(body(**fields))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"model": ABSENT}, "model", id="no model"),
        pytest.param({"model": None}, "model", id="model null"),
        pytest.param({"model": ""}, "model", id="model empty"),
        pytest.param({"model": "  "}, "model", id="model blank"),
        pytest.param({"model": 7}, "model", id="model a number"),
        pytest.param({"model": ["a/b"]}, "model", id="model a list"),
        pytest.param({"models": "c/d"}, "models", id="models a text"),
        pytest.param({"models": {"c/d": 1}}, "models", id="models an object"),
        pytest.param({"models": ["c/d", 7]}, "models", id="models with a number"),
        pytest.param({"models": ["c/d", " "]}, "models", id="models with a blank"),
        pytest.param({"stream": "yes"}, "stream", id="stream a text"),
        pytest.param({"stream": "false"}, "stream", id="stream the text false"),
        pytest.param({"stream": 1}, "stream", id="stream 1"),
        pytest.param({"stream": 0}, "stream", id="stream 0"),
        pytest.param({"messages": ABSENT}, "messages", id="no messages"),
        pytest.param({"messages": None}, "messages", id="messages null"),
        pytest.param({"messages": []}, "messages", id="messages empty"),
        pytest.param({"messages": "x"}, "messages", id="messages a text"),
        pytest.param({"messages": {"role": "user"}}, "messages", id="messages an object"),
        pytest.param({"messages": [], "prompt": "Hi"}, "messages", id="messages empty beside a prompt"),
        pytest.param({"messages": ABSENT, "prompt": ["Hi"]}, "messages", id="prompt a list"),
        pytest.param({"messages": [*MESSAGES, "x"]}, "messages[1]", id="message a text"),
        pytest.param({"messages": [None]}, "messages[0]", id="message null"),
        pytest.param({"messages": [*MESSAGES, {"content": "x"}]}, "messages[1].role", id="no role"),
        pytest.param({"messages": [{"role": None}]}, "messages[0].role", id="role null"),
        pytest.param({"messages": [{"role": ["user"]}]}, "messages[0].role", id="role a list"),
    ],
)
def test_refused(fields: dict[str, Any], param: str) -> None:
    """A body that could not be answered is refused before money is spent on it, naming the field."""
    with pytest.raises(BadRequest) as refused:
        CHAT.read(body(**fields))

    assert param == refused.value.param
    assert "invalid_request" == refused.value.code


def test_missing_model_says_what_to_do() -> None:
    """Who names no model is told where to find one."""
    with pytest.raises(BadRequest, match=r"openrouter/auto.*orgate models"):
        CHAT.read(body(model=ABSENT))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content"]), inner),
)
names = st.sampled_from(["model", "models", "messages", "stream", "prompt"])


@given(st.dictionaries(names, anything))
@quick
def test_anything(wanted: dict[str, Any]) -> None:
    """Whatever JSON object an app sends, it is understood or refused by naming one of its fields."""
    try:
        named: str | None = CHAT.read(wanted) and "model"
    except BadRequest as error:
        named = error.param

    assert (named or "").partition("[")[0] in ("model", "models", "messages", "stream")
