from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.cache import asked
from app.core.chain import Plan
from app.core.errors import Json
from tests.core.cache.calls import BODIES, CHAT, call
from tests.core.quick import quick

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(max_size=4), values, max_size=4)


def _are_same(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON: 1 is neither true nor 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_are_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    return repr(one) == repr(other)


def _reversed(value: Json) -> Json:
    """The same JSON with the members of every object the other way round."""
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return [_reversed(inner) for inner in value] if isinstance(value, list) else value


@given(bodies, bodies)
@quick
def test_any_two_bodies(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two calls have the same key only if their bodies are the same JSON."""
    assert _are_same(one, other) == (asked.key(call(body=one)) == asked.key(call(body=other)))


@given(bodies, st.data())
@quick
def test_any_change(body: dict[str, Any], data: st.DataObject) -> None:
    """Whatever is changed in a body, at whatever depth, makes another key; the order of members makes none."""
    changed = _changed(_reversed(body), data)

    assert asked.key(call(body=body)) == asked.key(call(body=_reversed(body)))
    assert _are_same(body, changed) or asked.key(call(body=body)) != asked.key(call(body=changed))


def _changed(value: Json, data: st.DataObject) -> Json:
    """The value with one thing in it replaced, added or taken away."""
    if isinstance(value, dict):
        names = [*value, data.draw(st.text(max_size=4))]
        name = data.draw(st.sampled_from(names))
        if name in value and data.draw(st.booleans()):
            return {other: inner for other, inner in value.items() if other != name}
        return {**value, name: _changed(value.get(name), data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], _changed(value[at], data), *value[at + 1 :]]
    return data.draw(values)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"endpoint": "/completions"}, id="API style"),
        pytest.param({"stream": True}, id="stream"),
        pytest.param({"agent": "helper"}, id="agent"),
        pytest.param({"plan": Plan(("a/b", "c/d"))}, id="chain"),
        pytest.param({"plan": Plan(("c/d",))}, id="model"),
        pytest.param({"plan": Plan(("a/b",), past_policy=True)}, id="past policy"),
        pytest.param({"plan": Plan(("a/b",), clamp=True)}, id="clamp"),
        pytest.param({"headers": {"Accept": "application/json", "anthropic-beta": "x"}}, id="headers"),
    ],
)
def test_other_call(facts: dict[str, Any]) -> None:
    """The same body is another call in another style, plain or streamed, or by another agent, chain or header."""
    body = BODIES[CHAT]

    assert asked.key(call(body=body)) != asked.key(call(**{"body": body, **facts}))


def test_who_asks_and_how_long() -> None:
    """The key does not depend on the call's id or on how old an answer may be."""
    assert asked.key(call()) == asked.key(call(id="call_2", started=5.0, raw=b'{ "x":1}'))


@pytest.mark.parametrize("endpoint", BODIES)
def test_text_suits(endpoint: str) -> None:
    """Calls for text may be answered from the cache in every style."""
    assert asked.suits(call(endpoint))


PARTS = ({"type": "text", "text": "a"}, {"type": "input_text", "text": "a"}, {"type": "thinking", "thinking": "a"})
TALKS = (("/chat/completions", "messages"), ("/messages", "messages"), ("/responses", "input"))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part["type"]))
@pytest.mark.parametrize(("endpoint", "talk"), TALKS)
def test_parts_of_text_suit(endpoint: str, talk: str, part: dict[str, str]) -> None:
    """Messages in parts suit when each part is text."""
    body = {**BODIES[endpoint], talk: [{"role": "assistant", "content": [part, part]}]}

    assert asked.suits(call(endpoint, body))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, id="image_url"),
        pytest.param({"role": "user", "content": [{"type": "image", "source": {"data": "x"}}]}, id="image"),
        pytest.param({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}, id="input_image"),
        pytest.param({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, id="audio"),
        pytest.param({"role": "user", "content": [{"type": "video_url", "video_url": {}}]}, id="video"),
        pytest.param({"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}, id="file"),
        pytest.param({"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}, id="input_file"),
        pytest.param({"role": "user", "content": [{"type": "document", "source": {}}]}, id="document"),
        pytest.param({"role": "user", "content": [{"type": "tool_result", "content": "x"}]}, id="tool_result"),
        pytest.param({"role": "assistant", "content": [{"type": "tool_use", "name": "x"}]}, id="tool_use"),
        pytest.param({"role": "user", "content": [{"type": "unheard-of"}]}, id="unknown part"),
        pytest.param({"role": "user", "content": ["text", {}]}, id="no part"),
        pytest.param({"role": "user", "content": {"type": "text"}}, id="no list"),
        pytest.param({"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}, id="tool_calls"),
        pytest.param({"role": "assistant", "content": "", "function_call": {"name": "x"}}, id="function_call"),
        pytest.param({"role": "assistant", "content": "", "images": [{"type": "image_url"}]}, id="images"),
        pytest.param({"role": "assistant", "content": "", "audio": {"id": "x"}}, id="audio given"),
        pytest.param({"role": "assistant", "content": "", "annotations": [{"type": "file"}]}, id="file read"),
        pytest.param({"role": "tool", "content": "x"}, id="tool"),
        pytest.param({"role": "function", "content": "x"}, id="function"),
        pytest.param({"type": "function_call", "name": "x"}, id="function_call item"),
        pytest.param({"type": "function_call_output", "output": "x"}, id="function_call_output"),
        pytest.param({"type": "item_reference", "id": "x"}, id="item_reference"),
        pytest.param("text", id="no object"),
    ],
)
@pytest.mark.parametrize(("endpoint", "talk"), TALKS)
def test_more_than_text_never(endpoint: str, talk: str, message: Any) -> None:
    """A call whose messages hold tools, images, files, sound or what is not known is never answered from the cache."""
    body = {**BODIES[endpoint], talk: [{"role": "user", "content": "Hello"}, message]}

    assert not asked.suits(call(endpoint, body))


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"tools": [{"type": "function"}]}, id="tools"),
        pytest.param({"tools": [{"type": "openrouter:web_search"}]}, id="server tools"),
        pytest.param({"tool_choice": "auto"}, id="tool_choice"),
        pytest.param({"functions": [{"name": "x"}]}, id="functions"),
        pytest.param({"function_call": "auto"}, id="function_call"),
        pytest.param({"plugins": [{"id": "web"}]}, id="plugins"),
        pytest.param({"web_search_options": {"search_context_size": "low"}}, id="web search"),
        pytest.param({"mcp_servers": [{"url": "x"}]}, id="mcp"),
        pytest.param({"modalities": ["text", "image"]}, id="image out"),
        pytest.param({"modalities": "image"}, id="modalities no list"),
        pytest.param({"audio": {"voice": "alloy"}}, id="sound out"),
        pytest.param({"previous_response_id": "resp_1"}, id="earlier response"),
        pytest.param({"conversation": "conv_1"}, id="conversation"),
        pytest.param({"preset": "mine"}, id="preset"),
    ],
)
@pytest.mark.parametrize("endpoint", BODIES)
def test_fields_that_never_suit(endpoint: str, field: dict[str, Any]) -> None:
    """A field that brings tools, images or sound keeps a call from the cache in every style."""
    assert not asked.suits(call(endpoint, {**BODIES[endpoint], **field}))


@pytest.mark.parametrize("endpoint", BODIES)
def test_empty_fields_suit(endpoint: str) -> None:
    """A field of tools without any tool says nothing; other fields, known or not, keep no call from the cache."""
    more = {"tools": [], "plugins": None, "modalities": ["text"], "temperature": 1, "odd": {"tools": [1]}}

    assert asked.suits(call(endpoint, {**BODIES[endpoint], **more}))


@pytest.mark.parametrize("model", ["a/b:online", "@preset/mine", "a/b@preset/mine"])
def test_models_that_never_suit(model: str) -> None:
    """Models that search the web, or whose preset may be changed at OpenRouter, keep a call from the cache."""
    assert not asked.suits(call(plan=Plan(("c/d", model))))


@pytest.mark.parametrize(
    ("endpoint", "more"),
    [
        ("/messages", {"system": [{"type": "image"}]}),
        ("/responses", {"instructions": {"id": "x"}}),
        ("/responses", {"input": None, "prompt": {"id": "pmpt_1"}}),
        ("/chat/completions", {"prompt": {"id": "x"}}),
        ("/completions", {"prompt": ["a", {"type": "image_url"}]}),
        ("/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
        ("/embeddings", {"input": [{"content": [{"type": "image_url"}]}]}),
    ],
)
def test_prompts_that_never_suit(endpoint: str, more: dict[str, Any]) -> None:
    """A prompt that is no text, or stands elsewhere, keeps a call from the cache."""
    assert not asked.suits(call(endpoint, {**BODIES[endpoint], **more}))


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2], [[1, 2], [3]]])
def test_prompts_that_suit(prompt: Json) -> None:
    """Texts and tokens suit."""
    assert asked.suits(call("/completions", {"model": "a/b", "prompt": prompt}))
    assert asked.suits(call("/embeddings", {"model": "a/b", "input": prompt}))
