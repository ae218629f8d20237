"""`orgate connect`: what to paste where, so that a program uses the gateway."""

from __future__ import annotations

import click

from app.cli import client as gateways
from app.cli import options
from app.cli.clients import CLIENTS
from app.cli.clients.client import Client, Setup, Target
from app.cli.clients.target import model_option, named, target, token_option
from app.cli.output import emit, table


@click.command()
@click.argument("client", required=False)
@model_option
@token_option
@gateways.url_option
@options.state_dir
@options.as_json
def command(
    client: str | None, model: str | None, given: bool, url: str | None, state_dir: str | None, as_json: bool
) -> None:
    """Print the configuration of CLIENT, with a new token for it; without CLIENT, list those that are known.

    \b
    Example:
      orgate connect
      orgate connect codex
      eval "$(orgate connect claude)"

    What is to be pasted goes to standard output, everything else to standard error; nothing is written anywhere. A
    client's new token has the limits of the one before, which stays in force; see orgate token list.
    """
    if client is None:
        _list(as_json)
        return
    known = named(client)
    aim = target(known, model, state_dir=state_dir, url=url, given=given, runs=False)
    setup = known.setup(aim)
    if as_json:
        emit(_shape(known, aim, setup))
        return
    for piece in setup.pieces:
        click.echo(click.style(f"{piece.where}:", bold=True), err=True)
        click.echo(piece.text)
        click.echo(err=True)
    for note in setup.notes:
        click.echo(note, err=True)
    if setup.launch is not None:
        click.echo(f"To start it without any of this: orgate run {known.name}", err=True)


def _list(as_json: bool) -> None:
    runs = {name: known.program is not None for name, known in CLIENTS.items()}
    if as_json:
        emit([{"client": name, "title": known.title, "runs": runs[name]} for name, known in CLIENTS.items()])
        return
    rows = [(name, known.title, f"orgate run {name}" if runs[name] else "") for name, known in CLIENTS.items()]
    click.echo(table([("CLIENT", "WHAT IT IS", "STARTS WITH"), *rows]))


def _shape(known: Client, aim: Target, setup: Setup) -> dict[str, object]:
    launch = setup.launch
    return {
        "client": known.name,
        "title": known.title,
        "base_url": aim.base_url,
        "token": aim.token,
        "pieces": [{"where": piece.where, "text": piece.text} for piece in setup.pieces],
        "environment": None if launch is None else dict(launch.environment),
        "arguments": None if launch is None else list(launch.arguments),
        "notes": list(setup.notes),
    }
