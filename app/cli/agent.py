"""`orgate agent`: presets that programs call as a model."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from app.cli import options
from app.cli.client import settings_of_running
from app.cli.output import FAILED, MISUSED, Failure, emit, plain, table

if TYPE_CHECKING:
    from app.core.agents.agent import Agent
    from app.core.agents.shelf import Shelf
    from app.settings import Settings


@click.group()
def command() -> None:
    """Make, list and check agents. Programs call one as the model agent/NAME.

    An agent is a file, agents/NAME.toml in the configuration folder, and may be changed with any editor; a running
    gateway uses the change from the next call on.

    \b
    Example:
      orgate agent new research --model openai/gpt-4o --system "You are a research assistant." --tool web_search
      orgate chat -m agent/research "What is new?"
    """


@command.command("list")
@options.state_dir
@options.as_json
def list_agents(state_dir: str | None, as_json: bool) -> None:
    """List the agents that can be called.

    \b
    Example:
      orgate agent list
    """
    from app.core.agents import views

    shelf = _shelf(_settings(state_dir))
    if as_json:
        emit([views.shape(agent) for agent in shelf.agents.values()])
    elif shelf.agents:
        rows = [("AGENT", "NAME", "MODELS", "TOOLS"), *map(_row, shelf.agents.values())]
        click.echo(table(rows))
    else:
        click.echo("No agents yet. Make one with: orgate agent new NAME --model MODEL")
    if shelf.faults:
        count = len(shelf.faults)
        click.echo(f"{count} file{'s' if count > 1 else ''} cannot be used; see: orgate agent check", err=True)


@command.command()
@click.argument("name")
@options.state_dir
@options.as_json
def show(name: str, state_dir: str | None, as_json: bool) -> None:
    """Print what a call to the agent NAME is sent with, and what the caller may change.

    \b
    Example:
      orgate agent show research
    """
    from app.core.agents import views
    from app.core.agents.agent import PREFIX

    settings = _settings(state_dir)
    agent = _shelf(settings).find(PREFIX + name.removeprefix(PREFIX))
    if as_json:
        emit({**views.shape(agent), "system_prompt": agent.system_prompt, "file": _place(settings, agent.id)})
    else:
        click.echo("\n".join(_lines(agent, _place(settings, agent.id))))


@command.command()
@options.state_dir
@options.as_json
@click.pass_context
def check(ctx: click.Context, state_dir: str | None, as_json: bool) -> None:
    """Check every agent's file; exit code 1 when one cannot be used.

    Where OpenRouter's catalogue can be had, the models are held against the agents' capabilities; what that finds is
    a warning.

    \b
    Example:
      orgate agent check
    """
    from app.bootstrap.openrouter import upstream_of
    from app.cli.checks.openrouter import check_models
    from app.core.agents import views

    settings = _settings(state_dir)
    shelf = _shelf(settings)
    if shelf.agents:
        _, _, models = check_models(upstream_of(settings), settings.base_url)
        shelf = _shelf(settings, models or None)
    if as_json:
        emit({"ok": not shelf.faults, **views.state(shelf)})
    else:
        click.echo("\n".join(_findings(shelf, _place(settings, ""))))
    ctx.exit(FAILED if shelf.faults else 0)


@command.command()
@click.argument("name")
@click.option("--model", required=True, help="The model that answers first.")
@click.option("--fallback", "fallbacks", multiple=True, metavar="MODEL", help="The next one, if that fails; up to 9.")
@click.option("--title", metavar="TEXT", help="Its name for people; NAME, if not given.")
@click.option("--system", metavar="TEXT", help='Its system prompt; "-" reads it from standard input.')
@click.option("--temperature", type=float, help="From 0 to 2.")
@click.option("--max-tokens", type=int, help="The longest answer.")
@click.option("--tool", "tools", multiple=True, metavar="TOOL", help="A tool that OpenRouter runs, such as web_search.")
@options.state_dir
@options.as_json
def new(
    name: str,
    model: str,
    fallbacks: tuple[str, ...],
    title: str | None,
    system: str | None,
    temperature: float | None,
    max_tokens: int | None,
    tools: tuple[str, ...],
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Make the agent NAME and print where its file is; one that is there already stays as it is.

    \b
    Example:
      orgate agent new research --model openai/gpt-4o --fallback anthropic/claude-sonnet-4.5 --tool web_search
      orgate agent new reviewer --model qwen/qwen3-coder --system - < prompt.txt
    """
    from app.bootstrap.state import agent_folder
    from app.core.agents import reading, views
    from app.core.agents.agent import BadAgent
    from app.core.errors import Conflict

    given: dict[str, Any] = {  # of the document's fields
        "name": title or name,
        "provider": "openrouter",
        "model": model,
        "fallbackModels": list(fallbacks),
        "systemPrompt": sys.stdin.read() if system == "-" else system,
        # What is no number to JSON goes as a text, which is refused for the field's own reason.
        "temperature": temperature if temperature is None or math.isfinite(temperature) else str(temperature),
        "maxTokens": max_tokens,
        "tools": list(tools),
    }
    try:
        text = views.file(given)
        agent = reading.read(name, text)
        path = agent_folder(_settings(state_dir)).create(name, text)
    except BadAgent as bad:
        raise Failure("\n".join(bad.problems), MISUSED) from None
    except UnicodeEncodeError:
        raise Failure("The arguments hold bytes that are no text in this terminal's encoding.", MISUSED) from None
    except Conflict as error:
        raise Failure(error.message) from None
    if as_json:
        emit({**views.shape(agent), "file": str(path)})
    else:
        click.echo(f"{path}\nCall it as the model {agent.model}, for example: orgate chat -m {agent.model} Hello")


def _settings(state_dir: str | None) -> Settings:
    return settings_of_running(state_dir, "agents")


def _shelf(settings: Settings, models: list[Any] | None = None) -> Shelf:  # entries of the catalogue
    from app.bootstrap.state import agents_reader

    return agents_reader(settings, models).shelf()


def _place(settings: Settings, id: str) -> str:
    from app.bootstrap.state import agent_folder

    return agent_folder(settings).place(id)


def _row(agent: Agent) -> tuple[str, ...]:
    tools = ", ".join(str(tool["type"]).partition(":")[2] for tool in agent.tools)
    return agent.model, plain(agent.name), plain(" → ".join(agent.models)), tools


def _lines(agent: Agent, place: str) -> list[str]:
    """The effective preset for people, one field a line; the prompt last, since it may be long."""
    from app.core.agents.agent import LOCKABLE, camel
    from app.core.toml import value_of

    rows = [
        ("agent", agent.model),
        ("file", place),
        ("name", agent.name),
        ("models", " → ".join(agent.models)),
        ("temperature", _or_callers(agent.temperature)),
        ("maxTokens", _or_callers(agent.max_tokens)),
        ("tools", ", ".join(map(value_of, agent.tools)) or "–"),
        ("capabilities", ", ".join(name for name, flag in (agent.capabilities or {}).items() if flag) or "–"),
        ("providerPreferences", value_of(agent.preferences) if agent.preferences else "–"),
        ("locked", ", ".join(camel(name) for name in LOCKABLE if name in agent.locked) or "–"),
        ("the caller may change", ", ".join(camel(name) for name in LOCKABLE if name not in agent.locked) or "–"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{click.style(name.ljust(width), bold=True)}  {plain(text)}" for name, text in rows]
    prompt = [plain(line) for line in (agent.system_prompt or "–").splitlines()]
    return [*lines, click.style("systemPrompt", bold=True), *(f"  {line}" for line in prompt)]


def _or_callers(value: float | None) -> str:
    return "the caller's" if value is None else str(value)


def _findings(shelf: Shelf, folder: str) -> list[str]:
    bad = [f"✗ {fault.file}\n" + "\n".join(f"    {one}" for one in fault.problems) for fault in shelf.faults.values()]
    good = [
        "\n".join(
            [f"{'!' if shelf.doubts.get(id) else '✓'} agent/{id}", *(f"    {one}" for one in shelf.doubts.get(id, ()))]
        )
        for id in shelf.agents
    ]
    if not bad and not good:
        return [f"There are no agents in {folder}. Make one with: orgate agent new NAME --model MODEL"]
    unknown = ["OpenRouter's catalogue cannot be had: capabilities were not checked."]
    return [*bad, *good, *([] if shelf.checked or not good else unknown)]
