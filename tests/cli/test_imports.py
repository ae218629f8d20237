from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.main import cli

SAMPLE = Path(__file__).with_name("librechat.yaml")
RESEARCH = {
    "name": 'Research "Assistant"',
    "provider": "openrouter",
    "model": "openai/gpt-4o",
    "systemPrompt": 'You are a research assistant.\nSay "no" when you do not know. Today is {{current_date}}.\n',
    "temperature": 0.2,
    "maxTokens": 2000,
    "tools": ["web_search"],
}
CHAIN = {
    "name": "OpenRouter",
    "provider": "openrouter",
    "model": "openai/gpt-4o",
    "fallbackModels": ["anthropic/claude-sonnet-4.5", "google/gemini-2.5-pro"],
    "temperature": 0.7,
    "providerPreferences": {"order": ["OpenAI", "Anthropic"]},
}


def imported(folder: Path, *arguments: str, text: str | None = None) -> Result:
    """The command on this folder, with the sample or this text."""
    file = SAMPLE
    if text is not None:
        file = folder.with_suffix(".yaml")
        file.write_text(text)
    return CliRunner().invoke(cli, ["import", str(file), *arguments, "--state-dir", str(folder)])


def planned(folder: Path, text: str) -> Any:
    """The plan for this text."""
    return json.loads(imported(folder, "--json", text=text).stdout)


def entry(more: str = "", models: str = "[openai/gpt-4o]", name: str = "OpenRouter") -> str:
    """A file with one endpoint."""
    return (
        f"endpoints:\n  custom:\n    - name: {name}\n      baseURL: https://openrouter.ai/api/v1\n"
        f"      models: {{default: {models}, fetch: true}}\n{more}"
    )


def test_says_first(tmp_path: Path) -> None:
    """Without --write it says what it would do, what it leaves out and what is left to do, and writes nothing."""
    told = imported(tmp_path / "s")

    assert 0 == told.exit_code
    assert "Nothing was written; add --write." in told.stdout
    for part in ("interface", "Mistral", "dropParams", "titleModel", "X-User", "X-Api-Key", "top_p", "transforms"):
        assert part in told.stdout.partition("Not taken over:")[2], part
    assert "${OPENROUTER_KEY}" in told.stdout.partition("For you to do:")[2]
    assert "orgate connect librechat" in told.stdout
    assert "canary" not in told.stdout
    assert not (tmp_path / "s").exists()


def test_writes(tmp_path: Path) -> None:
    """With --write the settings and agents stand in the configuration folder, for their owner only."""
    assert 0 == imported(tmp_path, "--write").exit_code

    config = tomllib.loads((tmp_path / "config.toml").read_text())
    assert {
        "openrouter_site_url": "https://chat.example.com",
        "openrouter_site_name": "Our chat",
        "openrouter_extra_headers": {"X-Team": "blue"},
        "openrouter_models": [
            "openai/gpt-4o",
            "anthropic/claude-sonnet-4.5",
            "openrouter/auto",
            "google/gemini-2.5-pro",
        ],
    } == config
    agents = {path.stem: tomllib.loads(path.read_text()) for path in (tmp_path / "agents").iterdir()}
    assert {"openrouter": CHAIN, "research": RESEARCH} == agents
    assert 0o700 == (tmp_path / "agents").stat().st_mode & 0o777


def test_settings_are_used(tmp_path: Path) -> None:
    """The gateway reads the settings as they were written."""
    imported(tmp_path, "--write")

    from app.settings import load

    settings = load({"ORGATE_STATE_DIR": str(tmp_path)}, environment={}, working_folder=tmp_path)
    assert {"X-Team": "blue"} == settings.extra_headers
    assert "Our chat" == settings.site_name
    assert 4 == len(settings.models)


def test_never_overwrites(tmp_path: Path) -> None:
    """What is there stays: settings, tables below them, and agents; a second time there is nothing to write."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "research.toml").write_text('model = "mine/own"\n')
    (tmp_path / "config.toml").write_text('OPENROUTER_SITE_NAME = "Mine"\n')

    told = imported(tmp_path, "--write")
    config = (tmp_path / "config.toml").read_text()
    again = imported(tmp_path)

    assert 'model = "mine/own"\n' == (tmp_path / "agents" / "research.toml").read_text()
    assert config.endswith('OPENROUTER_SITE_NAME = "Mine"\n')
    assert "openrouter_site_name" not in tomllib.loads(config)
    assert "stays as it is" in told.stdout
    assert "There is nothing to write." in again.stdout
    assert config == (tmp_path / "config.toml").read_text()


@pytest.mark.parametrize(
    ("models", "kept", "why"),
    [
        ("[openrouter/auto, openai/gpt-4o]", ["openrouter/auto"], "chooses by itself"),
        ("['a/b:free', 'a/c', 'a/d:free']", ["a/b:free", "a/d:free"], "no leave to pay"),
        (str([f"a/m{number}" for number in range(12)]), [f"a/m{number}" for number in range(10)], "has no more"),
        ("[{name: a/b, description: x}, a/b, a/c]", ["a/b", "a/c"], ""),
    ],
    ids=["router", "free", "long", "described"],
)
def test_chains(tmp_path: Path, models: str, kept: list[str], why: str) -> None:
    """A chain holds what one may hold, and what was left out is said."""
    told = planned(tmp_path, entry(models=models))

    agent = told["agents"]["openrouter"]
    assert kept == [agent["model"], *agent.get("fallbackModels", [])]
    assert why in " ".join(told["left_out"])
    assert {} == told["settings"]


def test_chain_by_parameters(tmp_path: Path) -> None:
    """Models that were added to every call are the chain behind the first model."""
    more = "      addParams: {models: [a/x, a/y], route: fallback, max_tokens: 500}\n"
    agent = planned(tmp_path, entry(more, models="[a/b, a/c]"))["agents"]["openrouter"]

    assert ("a/b", ["a/x", "a/y"], 500) == (agent["model"], agent["fallbackModels"], agent["maxTokens"])


@pytest.mark.parametrize("key", ["sk-or-v1-canary", "user_provided", "${ANY}", "sk-or-v1-canary${ANY}"], ids=range(4))
def test_keys_stay(tmp_path: Path, key: str) -> None:
    """No key is copied, printed or written, wherever it stands; what to do is said."""
    more = (
        f"      apiKey: '{key}'\n      headers: {{Authorization: 'Bearer {key}', X-A: '{key}x${{B}}', X-B: '{key}'}}\n"
    )
    told = imported(tmp_path, "--write", text=entry(more))

    written = "".join(path.read_text() for path in tmp_path.rglob("*.toml"))
    assert "canary" not in told.stdout + told.stderr + written
    assert "${" not in written
    assert ("X-B" in written) == (key == "user_provided")
    assert "orgate key set" in told.stdout


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("endpoints: [", 2, "line 1"),
        ("- a", 1, "librechat.yaml"),
        ("endpoints:\n  custom:\n    - {name: Groq, baseURL: 'https://api.groq.com'}", 1, "Groq"),
        ("endpoints: 7", 1, "none"),
        ("!!python/object/apply:os.system ['true']", 2, "YAML"),
        ("a: &a [*a]", 1, "none"),
        ("\x00", 2, "YAML"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, code: int, told: str) -> None:
    """A file that holds nothing of OpenRouter, or is no YAML, is said to be that, and nothing is written."""
    ended = imported(tmp_path / "s", "--write", text=text)

    assert (code, "") == (ended.exit_code, ended.stdout)
    assert told in ended.stderr
    assert not (tmp_path / "s").exists()


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is wrong usage."""
    ended = CliRunner().invoke(cli, ["import", str(tmp_path / "none.yaml"), "--state-dir", str(tmp_path)])

    assert 2 == ended.exit_code
    assert "cannot be read" in ended.stderr


def test_odd_values(tmp_path: Path) -> None:
    """Values of other kinds than LibreChat takes are left out, not stumbled over."""
    more = "      headers: {X-Title: 3, 'bad name': x, X-N: 5}\n      addParams: [1]\n"
    text = entry(more, models="7") + "modelSpecs: {list: [1, {name: a}, {preset: {endpoint: OpenRouter, model: 4}}]}\n"
    told = planned(tmp_path, text)

    assert {} == told["agents"]
    assert {"X-N": "5"} == told["settings"]["openrouter_extra_headers"]
    assert "3" == told["settings"]["openrouter_site_name"]
    assert 3 <= len(told["left_out"])


def test_unusable_agents(tmp_path: Path) -> None:
    """What could not be called as an agent is left out, with what is wrong."""
    told = planned(tmp_path, entry("      addParams: {temperature: 7, provider: {sort: beauty, colour: red}}\n"))

    assert {} == told["agents"]
    assert "temperature" in " ".join(told["left_out"])


def test_agents_are_called(tmp_path: Path) -> None:
    """The written agents are those that the gateway reads."""
    imported(tmp_path, "--write")
    listed = CliRunner().invoke(cli, ["agent", "list", "--json", "--state-dir", str(tmp_path)])

    assert ["agent/openrouter", "agent/research"] == sorted(agent["id"] for agent in json.loads(listed.stdout))
