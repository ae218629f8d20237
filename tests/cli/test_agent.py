from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from app.sandbox import Sandbox
from tests.agents import write
from tests.cli.processes import orgate, started
from tests.core.agents.documented import RESEARCH, SMART
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true

Agent = Callable[..., CompletedProcess[str]]
NOWHERE = "http://127.0.0.1:9/api/v1"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder."""
    folder = tmp_path / "s"
    folder.mkdir()
    return folder


@pytest.fixture
def agent(state: Path) -> Agent:
    """Runs `orgate agent` on the state folder; no gateway is running."""

    def run(*arguments: str, text: str | None = None, base_url: str = NOWHERE) -> CompletedProcess[str]:
        return orgate("agent", *arguments, "--state-dir", str(state), text=text, OPENROUTER_BASE_URL=base_url)

    return run


def test_new(agent: Agent, state: Path) -> None:
    """A new agent is a file that says all that was given, and whose place is printed."""
    made = agent(
        "new", "research", "--model", "openai/gpt-4o", "--fallback", "a/b", "--fallback", "c/d", "--title", "Research",
        "--system", 'You are "kind".', "--temperature", "0.3", "--max-tokens", "500", "--tool", "web_search",
    )  # fmt: skip

    path = state / "agents" / "research.toml"
    assert (0, str(path)) == (made.returncode, made.stdout.splitlines()[0])
    shown = json.loads(agent("show", "research", "--json").stdout)
    assert {
        "id": "agent/research",
        "name": "Research",
        "model": "openai/gpt-4o",
        "fallback_models": ["a/b", "c/d"],
        "system_prompt": 'You are "kind".',
        "temperature": 0.3,
        "max_tokens": 500,
        "tools": [{"type": "openrouter:web_search"}],
        "file": str(path),
    }.items() <= shown.items()


def test_prompt_from_standard_input(agent: Agent) -> None:
    """A long prompt may come from a file."""
    agent("new", "a", "--model", "x/y", "--system", "-", text="One.\nTwo.\n")

    assert "One.\nTwo.\n" == json.loads(agent("show", "a", "--json").stdout)["system_prompt"]


def test_never_overwritten(agent: Agent, state: Path) -> None:
    """What is there already stays as it is."""
    agent("new", "a", "--model", "x/y")

    again = agent("new", "a", "--model", "x/z")

    assert 1 == again.returncode
    assert "There is an agent a already" in again.stderr
    assert 'model = "x/y"' in (state / "agents" / "a.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a", "--model", "x/y", "--tool", "code_interpreter"], "OpenRouter cannot run"),
        (["a", "--model", "x/y", "--temperature", "3"], "temperature takes a number from 0 to 2."),
        (["a", "--model", "x/y", "--temperature", "nan"], "temperature takes a number from 0 to 2."),
        (["../a", "--model", "x/y"], "cannot be an agent's name"),
        (["a", "--model", "openrouter/auto", "--fallback", "x/y"], "Leave out fallbackModels, or the router."),
        (["a", "--model", "agent/b"], "an agent is none"),
    ],
)
def test_not_made(agent: Agent, state: Path, arguments: list[str], told: str) -> None:
    """What could not be used is not written."""
    refused = agent("new", *arguments)

    assert (2, "") == (refused.returncode, refused.stdout)
    assert told in refused.stderr
    assert [] == list(state.rglob("*.toml"))


def test_list(agent: Agent, state: Path) -> None:
    """The list names every agent that can be called, and says that there are files that cannot be used."""
    assert "No agents yet" in agent("list").stdout
    write(state, "smart", SMART)
    write(state, "research", RESEARCH)

    listed = agent("list")

    assert (0, ["AGENT", "agent/smart"]) == (
        listed.returncode,
        [line.split()[0] for line in listed.stdout.splitlines()],
    )
    assert "1 file cannot be used; see: orgate agent check" in listed.stderr
    assert ["agent/smart"] == [one["id"] for one in json.loads(agent("list", "--json").stdout)]


def test_show(agent: Agent, state: Path) -> None:
    """Everything that a call is sent with is printed, and what the caller may change."""
    write(state, "smart", SMART)

    shown = agent("show", "agent/smart").stdout

    for told in (
        "openrouter/auto",
        'order = ["OpenAI", "Anthropic"]',
        "You are a helpful assistant...",
        "the caller's",
    ):
        assert told in shown
    assert "temperature, maxTokens, tools, providerPreferences" in shown


def test_show_nothing(agent: Agent) -> None:
    """An agent that there is not is refused with the command that makes it."""
    refused = agent("show", "nobody")

    assert 1 == refused.returncode
    assert "orgate agent new nobody --model" in refused.stderr


def test_check_bad(agent: Agent, state: Path) -> None:
    """Every problem of every file is told, and the exit code says that there are some."""
    write(state, "one", 'modl = "x/y"\ntools = ["code_interpreter"]')
    write(state, "two", "model = ")
    write(state, "good", 'model = "x/y"')

    checked = agent("check")
    told = json.loads(agent("check", "--json").stdout)

    assert 1 == checked.returncode
    for text in (
        "one.toml",
        "Did you mean model?",
        "OpenRouter cannot run",
        "two.toml",
        "not valid TOML",
        "✓ agent/good",
    ):
        assert text in checked.stdout
    assert "capabilities were not checked" in checked.stdout
    assert (False, False, 1) == (told["ok"], told["capabilities_checked"], told["count"])
    assert {"one": 3, "two": 1} == {fault["agent"]: len(fault["problems"]) for fault in told["faults"]}


def test_check_against_the_catalogue(agent: Agent, state: Path, sandbox: Sandbox) -> None:
    """What the catalogue says against an agent is a warning and no failure."""
    write(state, "eyes", 'model = "openai/gpt-4"\ncapabilities = { vision = true }')
    write(state, "smart", SMART)

    checked = agent("check", base_url=sandbox.url)

    assert 0 == checked.returncode
    assert [
        "! agent/eyes",
        "    openai/gpt-4 takes no images (vision).",
        "✓ agent/smart",
    ] == checked.stdout.splitlines()


def test_check_nothing(agent: Agent, state: Path) -> None:
    """Without agents there is nothing wrong."""
    checked = agent("check")

    assert (0, True) == (checked.returncode, str(state / "agents") in checked.stdout)


@pytest.mark.parametrize(
    ("text", "state_", "told"),
    [
        (None, "ok", "there are none"),
        (SMART, "ok", "1 in "),
        ('model = "openai/gpt-4"\ncapabilities = { vision = true }', "hint", "takes no images (vision)"),
        (RESEARCH, "bad", "OpenRouter cannot run"),
    ],
)
def test_doctor(state: Path, sandbox: Sandbox, text: str | None, state_: str, told: str) -> None:
    """The doctor tells how the agents are, without a gateway too."""
    if text is not None:
        write(state, "one", text)

    ended = orgate("doctor", "--json", "--state-dir", str(state), OPENROUTER_BASE_URL=sandbox.url)

    [finding] = [check for check in json.loads(ended.stdout)["checks"] if check["check"] == "agents"]
    assert state_ == finding["state"]
    assert told in finding["told"]


def test_explain(gateway: Gateway) -> None:
    """The story of a call names the agent."""
    write(gateway.folder, "helper", 'model = "mistralai/mistral-nemo"')
    token = gateway.token("notes")
    reply = gateway.chat("agent/helper", token=token)

    told = orgate("explain", reply.headers["x-orgate-call-id"], ORGATE_URL=gateway.base_url, ORGATE_TOKEN=token)

    assert "of notes through agent/helper: answered" in told.stdout


def test_demo(tmp_path: Path) -> None:
    """While only the demo runs its agents are meant: one that is made can be called at once, without a restart."""
    home = {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    with started("demo", "--port", "0", **home):
        made = orgate("agent", "new", "helper", "--model", "openai/gpt-4o", **home)
        checked = orgate("agent", "check", **home)

        def answer() -> str:
            return orgate("chat", "-m", "agent/helper", "Hello", **home).stderr

        assert (0, "(these are the demo's agents)\n") == (made.returncode, made.stderr)
        assert "✓ agent/helper\n" == checked.stdout
        assert comes_true(lambda: "openai/gpt-4o" in answer())
    assert [] == list((tmp_path / "config").rglob("*.toml"))
