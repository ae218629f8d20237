from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest
from app.core.sanitize import KNOWN_ROLES, ROLES, sanitize
from tests.core.quick import quick

role = st.sampled_from([*KNOWN_ROLES, "wizard", "User", ""])
part = st.just({"type": "image_url"}) | st.builds(lambda text: {"type": "text", "text": text}, st.text(max_size=12))
content = st.none() | st.text(max_size=12) | st.lists(part | st.text(max_size=3), max_size=3)
message = st.builds(lambda role, content: {"role": role, "content": content, "name": "n"}, role, content)
body = st.builds(lambda messages: {"model": "a/b", "messages": messages, "x": 1}, st.lists(message, max_size=5))


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    """A body with these messages."""
    return {"model": "a/b", "messages": list(messages), "temperature": 1}


@pytest.mark.parametrize("role", KNOWN_ROLES)
def test_check(role: str) -> None:
    """Every role that a model knows passes, and nothing is cut, whatever its length."""
    wanted = said({"role": role, "content": "x" * 99})
    result = sanitize(wanted, "check", 10)

    assert wanted is result.body
    assert not result.changed


@pytest.mark.parametrize("role", ["wizard", "User", "", " user"])
def test_check_unknown_role(role: str) -> None:
    """A role that no model knows is refused, naming the message and the roles there are."""
    with pytest.raises(BadRequest, match="use one of system, user, assistant, developer, tool, function") as refused:
        sanitize(said({"role": "user", "content": "a"}, {"role": role, "content": "b"}), "check", 10)

    assert "messages[1].role" == refused.value.param
    assert repr(role) in refused.value.message


def test_check_long_role() -> None:
    """An endless role is not repeated in full."""
    with pytest.raises(BadRequest) as refused:
        sanitize(said({"role": "x" * 10_000}), "check", 10)

    assert len(refused.value.message) < 200


def test_off() -> None:
    """When it is off, anything passes."""
    wanted = said({"role": "wizard", "content": "x" * 99})
    result = sanitize(wanted, "off", 10)

    assert wanted is result.body
    assert not result.changed


@pytest.mark.parametrize("mode", ["strict", "check", "off"])
def test_no_messages(mode: str) -> None:
    """A body without messages passes as it is."""
    wanted = {"model": "a/b", "prompt": "x" * 99}

    assert wanted is sanitize(wanted, mode, 10).body


def test_strict_drops_roles() -> None:
    """Under strict only the document's own roles pass, in their order, and what was dropped is counted."""
    messages = [{"role": role, "content": role} for role in ("developer", "system", "user", "tool", "assistant")]
    result = sanitize(said(*messages), "strict", 100)

    assert said(messages[1], messages[2], messages[4]) == result.body
    assert "dropped=2; cut=0" == result.told
    assert result.changed


def test_strict_with_nothing_left() -> None:
    """When strict leaves no message the request is refused rather than sent empty."""
    with pytest.raises(BadRequest, match="system, user, assistant") as refused:
        sanitize(said({"role": "tool", "content": "a"}), "strict", 100)

    assert "messages" == refused.value.param


@pytest.mark.parametrize(
    ("content", "expected", "cut"),
    [
        pytest.param("x" * 10, "x" * 10, 0, id="at the limit"),
        pytest.param("x" * 11, "x" * 10, 1, id="one over"),
        pytest.param("é" * 11, "é" * 10, 1, id="characters, not bytes"),
        pytest.param("😀" * 5, "😀" * 5, 0, id="pairs at the limit"),
        pytest.param("a" + "😀" * 5, "a" + "😀" * 4, 1, id="half a pair is left out"),
        pytest.param(None, None, 0, id="null"),
        pytest.param([], [], 0, id="no parts"),
        pytest.param(
            [
                {"type": "text", "text": "x" * 11, "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:" + "x" * 99}},
                {"type": "text", "text": "y" * 10},
                {"type": "text", "text": "z" * 12},
            ],
            [
                {"type": "text", "text": "x" * 10, "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:" + "x" * 99}},
                {"type": "text", "text": "y" * 10},
                {"type": "text", "text": "z" * 10},
            ],
            2,
            id="parts",
        ),
        pytest.param(["x" * 11, {"text": 5}, None], ["x" * 11, {"text": 5}, None], 0, id="odd parts"),
        pytest.param({"text": "x" * 11}, {"text": "x" * 11}, 0, id="odd content"),
    ],
)
def test_strict_cuts_texts(content: Any, expected: Any, cut: int) -> None:
    """Under strict each text is cut at the limit and counted; images are not texts."""
    result = sanitize(said({"role": "user", "content": content}), "strict", 10)

    assert said({"role": "user", "content": expected}) == result.body
    assert f"dropped=0; cut={cut}" == result.told
    assert result.changed is (cut > 0)


def test_strict_on_messages_without_content() -> None:
    """A message that has no content does not get one."""
    wanted = said({"role": "assistant"})

    assert wanted == sanitize(wanted, "strict", 10).body


def test_strict_strips_other_fields() -> None:
    """Under strict a message keeps its role and its content, as in the document, and losing more is counted."""
    result = sanitize(
        said({"role": "user", "content": "a", "name": "n"}, {"role": "user", "content": "b"}), "strict", 10
    )

    assert said({"role": "user", "content": "a"}, {"role": "user", "content": "b"}) == result.body
    assert ("dropped=0; cut=0; stripped=1", True) == (result.told, result.changed)


@given(body, st.integers(1, 12))
@quick
def test_strict(wanted: dict[str, Any], most: int) -> None:
    """What strict lets through it lets through again unchanged, and it never touches what the app sent."""
    before = copy.deepcopy(wanted)
    try:
        result = sanitize(wanted, "strict", most)
    except BadRequest:
        assert not [each for each in wanted["messages"] if each["role"] in ROLES]
        return

    assert before == wanted
    assert result.changed is (result.body != wanted)
    assert not sanitize(result.body, "strict", most).changed
    assert {each["role"] for each in result.body["messages"]} <= set(ROLES)
    assert len(wanted["messages"]) == len(result.body["messages"]) + result.dropped
    assert {**wanted, "messages": []} == {**result.body, "messages": []}
    assert json.dumps(result.body)
