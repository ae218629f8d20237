"""`orgate import`: take over what a librechat.yaml says of OpenRouter."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import options
from app.cli.output import FAILED, MISUSED, Failure, emit, plain

if TYPE_CHECKING:
    from app.core.librechat.plan import Plan
    from app.settings import Settings

_LARGEST = 2**20


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Write the files without asking.")
@options.state_dir
@options.as_json
def command(file: Path, write: bool, state_dir: str | None, as_json: bool) -> None:
    """Turn the OpenRouter entry of LibreChat's FILE into settings, agents and a chain; says first what it will do.

    \b
    Example:
      orgate import librechat.yaml
      orgate import librechat.yaml --write

    Files that are there already are never changed but for new lines at the top of config.toml. Keys and whatever
    refers to a variable stay where they are.
    """
    from app.core import toml

    settings = options.settings(orgate_state_dir=state_dir)
    plan = _plan(file)
    _drop_unusable(plan)
    folder = settings.folders.config
    lines = _new_settings(plan, folder / "config.toml")
    _drop_unusable_agents(plan)
    agents = {folder / "agents" / f"{id}.toml": toml.dumps(fields) for id, fields in plan.agents.items()}
    for path in [path for path in agents if path.exists()]:
        plan.leave(path.name, "an agent of that name is there already, and stays as it is")
        del agents[path]
    if not as_json:
        _tell(plan, folder, lines, agents)
    if write or (not as_json and _agreed(bool(lines or agents))):
        _write(settings, lines, agents)
        written = True
    else:
        written = False
    if as_json:
        emit({**vars(plan), "files": [str(path) for path in agents], "config": lines, "written": written})


def _plan(file: Path) -> Plan:
    """What the file says; ends the command when nothing can be made of it."""
    import yaml

    from app.core.librechat.plan import NothingToImport
    from app.core.librechat.reading import read

    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise Failure(f"{file} is larger than 1 MiB; that is no librechat.yaml.", MISUSED)
        return read(yaml.safe_load(content))
    except NothingToImport as nothing:
        raise Failure(str(nothing)) from None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.", MISUSED) from None
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark
        where = f", line {place.line + 1}" if place else ""
        raise Failure(f"{file}{where} is not valid YAML: {error.problem}.", MISUSED) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Failure(f"{file} is not valid YAML.", MISUSED) from None


def _drop_unusable(plan: Plan) -> None:
    """Leave out settings that the gateway would not start with."""
    import json

    from app.settings import OPTIONS

    readers = {option.name.lower(): option.read for option in OPTIONS}
    for name, value in list(plan.settings.items()):
        text = json.dumps(value) if isinstance(value, dict) else ",".join(value) if isinstance(value, list) else value
        try:
            readers[name](text)
        except ValueError as error:
            plan.leave(name, f"the value {error}")
            del plan.settings[name]


def _drop_unusable_agents(plan: Plan) -> None:
    """Leave out agents that could not be called."""
    from app.core import toml
    from app.core.agents import reading
    from app.core.agents.agent import BadAgent

    for id, fields in list(plan.agents.items()):
        try:
            reading.read(id, toml.dumps(fields))
        except (BadAgent, ValueError) as bad:
            plan.leave(f"agent {id}", str(bad))
            del plan.agents[id]


def _new_settings(plan: Plan, config: Path) -> str:
    """The lines that config.toml does not have yet; ends the command when that file is broken."""
    from app.core import toml

    there: dict[str, Any] = {}  # TOML's values
    if config.exists():
        try:
            there = tomllib.loads(config.read_text("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Failure(f"{config} is not valid TOML: {error}. Mend it first.", FAILED) from None
    known = {name.lower() for name in there}
    for name in known & plan.settings.keys():
        plan.leave(name, f"{config.name} says something already, which stays")
    return toml.dumps({name: value for name, value in plan.settings.items() if name not in known})


def _tell(plan: Plan, folder: Path, lines: str, agents: dict[Path, str]) -> None:
    def head(text: str) -> None:
        click.echo(click.style(text, bold=True))

    if lines:
        head(f"Settings, for {folder / 'config.toml'}:")
        click.echo("\n".join(f"  {plain(line)}" for line in lines.splitlines()))
    for path, text in agents.items():
        head(f"The agent agent/{path.stem}, for {path}:")
        click.echo("\n".join(f"  {plain(line)}" for line in text.splitlines()))
    for title, sentences in (("Not taken over:", plan.left_out), ("For you to do:", plan.todo)):
        if sentences:
            head(title)
            click.echo("\n".join(f"  – {plain(sentence)}" for sentence in dict.fromkeys(sentences)))


def _agreed(anything: bool) -> bool:
    if not anything:
        click.echo("There is nothing to write.")
        return False
    if not sys.stdin.isatty():
        click.echo("Nothing was written; add --write.")
        return False
    return click.confirm("Write this?")


def _write(settings: Settings, lines: str, agents: dict[Path, str]) -> None:
    from app.adapters.statefiles import private_folder, write_private

    config = private_folder(settings.folders.config) / "config.toml"
    if lines:
        # At the top: below a [table] they would belong to it.
        before = config.read_bytes().removeprefix(b"\xef\xbb\xbf") if config.exists() else b""
        write_private(config, lines.encode("utf-8", "replace") + before)
    if agents:
        private_folder(settings.folders.config / "agents")
    for path, text in agents.items():
        with path.open("xb") as file:
            file.write(text.encode("utf-8", "replace"))
    click.echo(f"Written: {', '.join(map(str, [*([config] if lines else []), *agents]))}", err=True)
