from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.agents.agent import LOCKABLE, Agent
from app.core.agents.styles import STYLES, apply
from app.core.errors import BadRequest
from tests.core.quick import quick

CHAT, MESSAGES, RESPONSES, COMPLETIONS, EMBEDDINGS = STYLES
ASKED = [{"role": "user", "content": "Hello"}]
SEARCH = {"type": "openrouter:web_search"}
FUNCTION = {"type": "function", "function": {"name": "look"}}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": ASKED},
    MESSAGES: {"messages": ASKED},
    RESPONSES: {"input": "Hello"},
    COMPLETIONS: {"prompt": "Hello"},
    EMBEDDINGS: {"input": "Hello"},
}
LIMIT = {CHAT: "max_tokens", MESSAGES: "max_tokens", RESPONSES: "max_output_tokens", COMPLETIONS: "max_tokens"}


def agent(**facts: Any) -> Agent:
    """An agent of two models."""
    return Agent("helper", "Helper", ("a/b", "c/d"), **facts)


def sent(style: str, agent: Agent, **body: Any) -> dict[str, Any]:
    """What is sent for a call to the agent, without its model."""
    preset = apply(agent, style, {"model": "agent/helper", **BODIES[style], **body}, ())
    return {name: value for name, value in preset.body.items() if name != "model"}


@pytest.mark.parametrize("style", STYLES)
def test_chain(style: str) -> None:
    """In every style the agent's chain takes the place of its name."""
    preset = apply(agent(), style, {"model": "agent/helper", **BODIES[style]}, ())

    assert ("a/b", ("c/d",), "helper", ()) == (preset.model, preset.fallbacks, preset.agent, preset.overruled)
    assert {"model": "a/b", **BODIES[style]} == preset.body
    assert ("agent/helper", ("a/b", "c/d")) == preset.lends


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("field", ["models", "fallbacks"])
def test_callers_chain(style: str, field: str) -> None:
    """A chain that the caller sends is put aside and said so, unless the agent's is not locked."""
    body = {"model": "agent/helper", **BODIES[style], field: ["x/y"], "route": "fallback"}

    locked = apply(agent(), style, body, ("x/y",))
    free = apply(agent(locked=frozenset()), style, body, ("x/y",))

    assert ("a/b", ("c/d",), ("models",)) == (locked.model, locked.fallbacks, locked.overruled)
    assert ("a/b", ("x/y",), ()) == (free.model, free.fallbacks, free.overruled)
    assert not {field, "route"} & (locked.body.keys() | free.body.keys())


@pytest.mark.parametrize("style", LIMIT)
def test_parameters(style: str) -> None:
    """Temperature and the longest answer are the agent's where the caller names none, under the style's own names."""
    preset = agent(temperature=0.0, max_tokens=50)

    assert {**BODIES[style], "temperature": 0.0, LIMIT[style]: 50} == sent(style, preset)
    assert {**BODIES[style], "temperature": 0.0, LIMIT[style]: 50} == sent(
        style, preset, temperature=None, **{LIMIT[style]: None}
    )
    own = {"temperature": 1, LIMIT[style]: 9}
    assert {**BODIES[style], **own} == sent(style, preset, **own)


def test_other_name_of_the_limit() -> None:
    """The newer name of the longest answer counts as the caller's wish too, and gives way to a locked one."""
    own = {"max_completion_tokens": 9}

    assert {**BODIES[CHAT], **own} == sent(CHAT, agent(max_tokens=50), **own)
    locked = agent(max_tokens=50, locked=frozenset({"max_tokens"}))
    assert {**BODIES[CHAT], "max_tokens": 50} == sent(CHAT, locked, **own)


@pytest.mark.parametrize("style", LIMIT)
def test_locked_parameters(style: str) -> None:
    """A locked field is the agent's, also where the agent leaves it to the model; the caller is told."""
    body = {"model": "agent/helper", **BODIES[style], "temperature": 1, LIMIT[style]: 9, "provider": {"zdr": True}}
    locked = frozenset(LOCKABLE)

    preset = apply(agent(temperature=0.5, locked=locked), style, body, ())

    assert {"model": "a/b", **BODIES[style], "temperature": 0.5} == preset.body
    assert ("temperature", LIMIT[style], "provider") == preset.overruled


def test_prompt_of_chat() -> None:
    """The agent's system message stands first, the caller's own after it."""
    own = {"role": "system", "content": "Be brief."}
    first = {"role": "system", "content": "Be kind."}

    assert [first, *ASKED] == sent(CHAT, agent(system_prompt="Be kind."))["messages"]
    assert [first, own, *ASKED] == sent(CHAT, agent(system_prompt="Be kind."), messages=[own, *ASKED])["messages"]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_prompt_that_gives_way(role: str) -> None:
    """An agent whose prompt is not locked leaves the caller's alone, and speaks where the caller has none."""
    preset = agent(system_prompt="Be kind.", locked=frozenset())
    own = {"role": role, "content": "Be brief."}

    assert [own, *ASKED] == sent(CHAT, preset, messages=[own, *ASKED])["messages"]
    assert 2 == len(sent(CHAT, preset)["messages"])
    assert {"instructions": "Own"}.items() <= sent(RESPONSES, preset, instructions="Own").items()
    assert {"system": [{"type": "text", "text": "Own"}]}.items() <= sent(
        MESSAGES, preset, system=[{"type": "text", "text": "Own"}]
    ).items()


@pytest.mark.parametrize(
    ("style", "name", "own", "expected"),
    [
        (MESSAGES, "system", None, "Be kind."),
        (MESSAGES, "system", "Be brief.", "Be kind.\n\nBe brief."),
        (MESSAGES, "system", [], "Be kind."),
        (
            MESSAGES,
            "system",
            [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            [
                {"type": "text", "text": "Be kind."},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            ],
        ),
        (RESPONSES, "instructions", None, "Be kind."),
        (RESPONSES, "instructions", "Be brief.", "Be kind.\n\nBe brief."),
        (COMPLETIONS, "prompt", "Once", "Be kind.\n\nOnce"),
        (COMPLETIONS, "prompt", ["Once", "Then"], ["Be kind.\n\nOnce", "Be kind.\n\nThen"]),
        (CHAT, "prompt", "Once", "Be kind.\n\nOnce"),
    ],
)
def test_prompt_elsewhere(style: str, name: str, own: Any, expected: Any) -> None:
    """Each style has its own place for the prompt, in which the caller's stands after the agent's."""
    body = {"model": "agent/helper", "messages": ASKED, name: own}
    if name == "prompt":
        del body["messages"]

    assert expected == apply(agent(system_prompt="Be kind."), style, body, ()).body[name]


@pytest.mark.parametrize("prompt", [[1, 2], [[1]], None, 3])
def test_prompt_of_tokens(prompt: Any) -> None:
    """A prompt that no text can be put before is refused, with what to do; without a system prompt it may go."""
    with pytest.raises(BadRequest, match="Send the prompt as text") as refused:
        sent(COMPLETIONS, agent(system_prompt="Be kind."), prompt=prompt)

    assert "prompt" == refused.value.param
    assert prompt == sent(COMPLETIONS, agent(), prompt=prompt)["prompt"]


@pytest.mark.parametrize(("style", "name"), [(MESSAGES, "system"), (RESPONSES, "instructions")])
def test_prompt_of_the_wrong_kind(style: str, name: str) -> None:
    """What is no text cannot follow a prompt, and nothing may go without the agent's."""
    with pytest.raises(BadRequest) as refused:
        sent(style, agent(system_prompt="Be kind."), **{name: {"text": "x"}})

    assert name == refused.value.param


def test_embeddings() -> None:
    """Embeddings take the agent's models and where they may be run, nothing else of it."""
    whole = agent(
        system_prompt="Be kind.",
        temperature=1,
        max_tokens=5,
        tools=({"type": "openrouter:apply_patch"},),
        preferences={"zdr": True},
    )

    assert {"input": "Hello", "provider": {"zdr": True}} == sent(EMBEDDINGS, whole)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, [SEARCH]),
        ([FUNCTION], [FUNCTION, SEARCH]),
        ([], []),
        ([{"type": "web_search_preview"}], [{"type": "web_search_preview"}]),
        ([{**SEARCH, "parameters": {"max_results": 1}}], [{**SEARCH, "parameters": {"max_results": 1}}]),
        ("all", "all"),
    ],
)
def test_tools(own: Any, expected: Any) -> None:
    """Tools add up; the caller's own of the same kind wins, and an empty list means none."""
    body = {} if own is None else {"tools": own}

    assert expected == sent(CHAT, agent(tools=(SEARCH,)), **body).get("tools")


def test_locked_tools() -> None:
    """With its tools locked an agent has none but its own."""
    preset = agent(tools=(SEARCH,), locked=frozenset({"tools"}))

    assert {**BODIES[CHAT], "tools": [SEARCH]} == sent(CHAT, preset, tools=[FUNCTION], tool_choice="required")


@pytest.mark.parametrize(
    ("style", "tool", "fits"),
    [
        (CHAT, "web_search", True),
        (MESSAGES, "web_search", True),
        (RESPONSES, "apply_patch", True),
        (CHAT, "apply_patch", False),
        (MESSAGES, "fusion", False),
        (CHAT, "shell", False),
        (COMPLETIONS, "web_search", False),
    ],
)
def test_tool_for_a_style(style: str, tool: str, fits: bool) -> None:
    """A tool that OpenRouter does not run in this style is refused with where it does; it is never left out."""
    preset = agent(tools=({"type": f"openrouter:{tool}"},))
    if fits:
        assert [{"type": f"openrouter:{tool}"}] == sent(style, preset)["tools"]
        return
    with pytest.raises(BadRequest, match=f"openrouter:{tool}, which OpenRouter does not run for {style}") as refused:
        sent(style, preset)
    assert ("agent_does_not_fit", "model") == (refused.value.code, refused.value.param)


def test_provider_preferences() -> None:
    """Preferences are taken one by one, the caller's first; null is no wish."""
    preset = agent(preferences={"data_collection": "deny", "order": ["OpenAI"]})
    own = {"order": ["Anthropic"], "data_collection": None, "quantization": ["fp16"]}

    expected = {"data_collection": "deny", "order": ["Anthropic"], "quantizations": ["fp16"]}
    assert expected == sent(CHAT, preset, provider=own)["provider"]
    assert own == sent(CHAT, agent(), provider=own)["provider"]


def test_bad_preferences() -> None:
    """A caller's preference that there is not is refused as without an agent."""
    with pytest.raises(BadRequest, match="no provider preference 'ordr'"):
        sent(CHAT, agent(preferences={"zdr": True}), provider={"ordr": []})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("messages", "system", "instructions", "prompt", "temperature", "max_tokens", "tools", "provider", "n", "stop")


@quick
@given(
    style=st.sampled_from(STYLES),
    body=st.dictionaries(st.sampled_from(FIELDS), JSON),
    locked=st.sets(st.sampled_from(LOCKABLE)).map(frozenset),
)
def test_whatever_callers_send(style: str, body: dict[str, Any], locked: frozenset[str]) -> None:
    """Any body is carried out or refused; what no agent sets stays, and the caller's body is never changed."""
    preset = agent(
        system_prompt="p", temperature=1, max_tokens=7, tools=(SEARCH,), preferences={"zdr": True}, locked=locked
    )
    before = repr(body)
    with suppress(BadRequest):
        after = apply(preset, style, {"model": "agent/helper", **body}, ()).body
        assert "a/b" == after["model"]
        assert all(after[name] == body[name] for name in ("n", "stop") if name in body)
    assert before == repr(body)
