"""`orgate run`: start a program with the gateway's address and a token in its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

import click

from app.cli import client as gateways
from app.cli import options
from app.cli.clients.client import Client, Launch
from app.cli.clients.target import model_option, named, target, token_option
from app.cli.output import FAILED, MISUSED, Failure

_KEYS = ("OPENROUTER_API_KEY", "OPENROUTER_API_KEY_FILE", "OPENROUTER_MANAGEMENT_KEY", "OPENROUTER_MANAGEMENT_KEY_FILE")
"""Stay with the gateway."""
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
_LOOPBACK = "127.0.0.1,localhost,::1"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("client")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@model_option
@token_option
@gateways.url_option
@options.state_dir
def command(
    client: str, arguments: tuple[str, ...], model: str | None, given: bool, url: str | None, state_dir: str | None
) -> None:
    """Start CLIENT with ARGUMENTS so that it uses the running gateway; no file is written.

    \b
    Example:
      orgate run claude
      orgate run --model openai/gpt-4o-mini codex exec "Explain this repository."
      orgate run python script.py

    The client's token is in its environment only; the OpenRouter key is taken out of it. Signals and the exit code
    are the client's own. For the names see orgate connect.
    """
    known = named(client)
    program = _program(known)
    aim = target(known, model, state_dir=state_dir, url=url, given=given, runs=True)
    launch = known.setup(aim).launch
    assert launch is not None
    # "--" ends our own options, where a habit has put it; none of these programs wants one first.
    theirs = arguments[1:] if arguments[:1] == ("--",) else arguments
    _become([program, *launch.arguments, *theirs], _environment(launch, os.environ))


def _program(known: Client) -> str:
    """The path of the client's program; ends the command when it cannot be started."""
    if known.program is None:
        raise Failure(
            f"{known.title} takes its address from files of its own only; see: orgate connect {known.name}", MISUSED
        )
    found = shutil.which(known.program)
    if found is None:
        raise Failure(f"{known.program} is not installed, or not in PATH. Get it with: {known.install}", FAILED)
    return found


def _environment(launch: Launch, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process, less what would lead past the gateway, and the client's own."""
    kept = {name: value for name, value in outer.items() if name not in (*_KEYS, *launch.without)}
    if any(kept.get(name) for name in _PROXIES):
        before = kept.get("no_proxy") or kept.get("NO_PROXY")
        direct = f"{before},{_LOOPBACK}" if before else _LOOPBACK
        kept |= {"no_proxy": direct, "NO_PROXY": direct}
    return {**kept, **launch.environment}


def _become(command_line: list[str], environment: dict[str, str]) -> None:
    """Be this program from now on; on Windows, where that cannot be, end as it ends."""
    try:
        if os.name != "nt":
            os.execve(command_line[0], command_line, environment)  # noqa: S606 - no shell is wanted
        raise SystemExit(subprocess.run(command_line, env=environment, check=False).returncode)  # noqa: S603
    except OSError as error:
        raise Failure(f"{command_line[0]} cannot be started: {error.strerror}.", FAILED) from None
