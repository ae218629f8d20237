from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.agents import tools
from app.core.agents.agent import LOCKABLE, Agent, BadAgent, camel, snake
from app.core.agents.reading import read
from app.core.agents.views import file
from tests.core.agents.documented import RESEARCH, RUNS, SMART
from tests.core.quick import quick

WHOLE = Agent(
    id="research",
    name="Research Assistant",
    models=("openai/gpt-4", "anthropic/claude-3-opus-20240229", "google/gemini-pro"),
    system_prompt="You are a research assistant...",
    temperature=0.7,
    max_tokens=2000,
    tools=({"type": "openrouter:web_search"},),
    capabilities={"vision": True, "functionCalling": True, "streaming": True},
)
NAMES = (
    "fallbackModels",
    "systemPrompt",
    "maxTokens",
    "functionCalling",
    "providerPreferences",
)


def problems(text: str, id: str = "a") -> tuple[str, ...]:
    """What is wrong with this file."""
    with pytest.raises(BadAgent) as bad:
        read(id, text)
    return bad.value.problems


def test_documented_research() -> None:
    """The document's first agent is refused for its one tool that OpenRouter cannot run, and told what to do."""
    (problem,) = problems(RESEARCH)

    assert problem.startswith('tools names "code_interpreter", which OpenRouter cannot run: leave it out')
    assert WHOLE == read("research", RUNS)


def test_documented_smart() -> None:
    """The document's second agent is taken as it is."""
    agent = read("smart", SMART)

    assert (("openrouter/auto",), "Smart Assistant") == (agent.models, agent.name)
    assert {"order": ["OpenAI", "Anthropic"], "require_parameters": True} == agent.preferences
    assert (None, None, (), "You are a helpful assistant...") == (
        agent.temperature,
        agent.max_tokens,
        agent.tools,
        agent.system_prompt,
    )


def test_both_spellings() -> None:
    """snake_case says the same as the document's camelCase."""
    for text in (RUNS, SMART):
        other = re.sub("|".join(NAMES), lambda found: snake(found[0]), text)
        assert read("a", text) == read("a", other)


def test_as_little_as_there_must_be() -> None:
    """A model is enough; the file's name is then the agent's, and its chain and prompt are locked."""
    assert Agent("a", "a", ("x/y",)) == read("a", 'model = "x/y"')
    assert frozenset({"model", "system_prompt"}) == read("a", 'model = "x/y"').locked


def test_tool_with_parameters() -> None:
    """A tool may be a table with OpenRouter's own parameters, and its name may have OpenRouter's prefix."""
    text = """
    model = "x/y"
    tools = [{ type = "bash", parameters = { engine = "openrouter" } }, "openrouter:web_search"]
    """

    assert (
        {"type": "openrouter:bash", "parameters": {"engine": "openrouter"}},
        {"type": "openrouter:web_search"},
    ) == read("a", text).tools


def test_preferences_in_openrouters_spelling() -> None:
    """The document's older `quantization` is translated as in a call, and camelCase is understood here too."""
    text = 'model = "x/y"\nproviderPreferences = { quantization = ["fp16"], allowFallbacks = false }'

    assert {"quantizations": ["fp16"], "allow_fallbacks": False} == read("a", text).preferences


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('modell = "x/y"', "There is no field 'modell'. Did you mean model?"),
        ("maxToken = 1", "There is no field 'maxToken'. Did you mean maxTokens?"),
        ("max_token = 1", "There is no field 'max_token'. Did you mean max_tokens?"),
        ("zzz = 1", "There is no field 'zzz'."),
        ("maxTokens = 1\nmax_tokens = 1", "maxTokens stands there twice, in two spellings. Keep one."),
        ("maxTokens = 0", "maxTokens takes a whole number above 0."),
        ("maxTokens = true", "maxTokens takes a whole number above 0."),
        ('temperature = "0.7"', "temperature takes a number from 0 to 2."),
        ("temperature = nan", "temperature takes a number from 0 to 2."),
        ("temperature = 2.1", "temperature takes a number from 0 to 2."),
        ('provider = "openai"', 'provider takes "openrouter": the gateway knows no other provider.'),
        ("systemPrompt = 1", "systemPrompt takes a text in quotes."),
        ('name = "a\\nb"', "name takes a short text in quotes, in one line."),
        ('fallbackModels = "x/z"', 'fallbackModels takes a list of ids, such as ["anthropic/claude-sonnet-4.5"].'),
        ('fallbackModels = ["agent/b"]', "fallbackModels takes the id of a model, and an agent is none."),
        ('tools = "web_search"', 'tools takes a list, such as ["web_search"].'),
        ("tools = [1]", 'tools takes names such as "web_search", or tables with type and parameters.'),
        ('tools = [{ type = "bash", engine = "x" }]', 'tools has an entry for "bash" that is not made of'),
        (
            'tools = ["websearch"]',
            'tools names "websearch", which is no tool of OpenRouter\'s. Did you mean web_search?',
        ),
        ('tools = [{ type = "bash", parameters = { at = 2026-01-01 } }]', "tools holds a date, a time or a number"),
        (f"tools = [{{ type = 'bash', parameters = {{ a = {'[' * 40}{']' * 40} }} }}]", "tools is nested too deep."),
        ("capabilities = { visoin = true }", "There is no capability 'visoin'. Did you mean vision?"),
        ("capabilities = { vision = 1 }", "capabilities.vision takes true or false."),
        ('capabilities = ["vision"]', "capabilities takes a table of true and false"),
        ('providerPreferences = { ordr = ["x"] }', "There is no provider preference 'ordr'. Did you mean order?"),
        ('providerPreferences = { order = "x" }', "providerPreferences.order takes a list of providers."),
        ("providerPreferences = 1", "providerPreferences takes a table"),
        ('locked = ["modl"]', "There is no field to lock called 'modl'. Did you mean model?"),
        ('locked = "model"', "locked takes a list of fields"),
    ],
)
def test_refused(line: str, told: str) -> None:
    """A line that cannot be meant is named, with what to write instead."""
    (problem,) = problems(f'model = "x/y"\n{line}')

    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "model is missing."),
        ("model = 1", "model takes the id of a model"),
        ('model = "a b"', "model takes the id of a model"),
        ('model = "agent/b"', "model takes the id of a model, and an agent is none."),
        ('model = "openrouter/auto"\nfallbackModels = ["x/y"]', "openrouter/auto chooses the model itself"),
        (f'model = "x/y"\nfallbackModels = {[f"x/{n}" for n in range(10)]}', "A chain has at most 10 models"),
        ("model", "The file is not valid TOML"),
        ("a = " + "[" * 5000, "The file is"),
        (f"a = {'9' * 5000}", "The file holds a number that is too long"),
    ],
)
def test_no_chain(text: str, told: str) -> None:
    """A file without a chain that can be run is refused by the same rules as a call."""
    (problem,) = problems(text)

    assert problem.startswith(told)


def test_every_problem_at_once() -> None:
    """Who repairs a file hears of everything that is wrong with it."""
    text = RESEARCH.replace('"openrouter"', '"openai"').replace("maxTokens", "maxTokns").replace("0.7", "7")

    assert 4 == len(problems(text))
    assert 5 == len(problems(text, id="no id"))


def test_prompt_is_not_told() -> None:
    """No problem quotes the prompt, which is nobody's but the owner's."""
    text = f'systemPrompt = """canary\n{"canary " * 10}"""\nmodel = 3\ntemperature = "canary'

    assert not any("canary" in problem for problem in problems(text))


def test_names_of_fields() -> None:
    """Every field that can be locked has two spellings that lead to each other."""
    assert all(name == snake(camel(name)) == snake(name) for name in LOCKABLE)


@quick
@given(
    name=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20),
    prompt=st.text(st.characters(exclude_categories=("Cs",))),
    temperature=st.none() | st.floats(0, 2),
    max_tokens=st.none() | st.integers(1, 10**6),
    fallbacks=st.lists(st.sampled_from(["a/b", "c/d:free", "~e/f"]), unique=True),
    chosen=st.lists(st.sampled_from(tools.NAMES), unique=True),
)
def test_written_and_read(
    name: str,
    prompt: str,
    temperature: float | None,
    max_tokens: int | None,
    fallbacks: list[str],
    chosen: list[str],
) -> None:
    """What is written to a file is what is read from it, whatever the texts hold."""
    fields = {
        "name": name,
        "model": "x/y",
        "fallbackModels": fallbacks,
        "systemPrompt": prompt,
        "temperature": temperature,
        "maxTokens": max_tokens,
        "tools": chosen,
    }

    agent = read("a", file(fields))

    assert (name, ("x/y", *fallbacks), prompt or None) == (agent.name, agent.models, agent.system_prompt)
    assert (temperature, max_tokens) == (agent.temperature, agent.max_tokens)
    assert [f"openrouter:{tool}" for tool in chosen] == [tool["type"] for tool in agent.tools]


@quick
@given(st.text())
def test_anything(text: str) -> None:
    """Whatever a file holds, it is an agent or it has problems."""
    with suppress(BadAgent):
        assert read("a", text).models
