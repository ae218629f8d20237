"""Which gateway a program is set up for, and with which token."""

from __future__ import annotations

import os
import sys

import click

from app.cli import client as gateways
from app.cli import options
from app.cli.clients import CLIENTS, OTHER_NAMES
from app.cli.clients.client import Client, Target
from app.cli.output import MISUSED, NOT_RUNNING, Failure

token_option = click.option(
    "--token", "given", is_flag=True, help="Use the token in ORGATE_TOKEN, or on standard input, not one of orgate's."
)
model_option = click.option("--model", "-m", metavar="MODEL", help="The model it is set up for.")


def named(name: str) -> Client:
    """The client of this name; ends the command when there is none."""
    name = OTHER_NAMES.get(name, name)
    if name not in CLIENTS:
        raise Failure(f"There is no client {name[:40]!r}; there are: {', '.join(CLIENTS)}.", MISUSED)
    return CLIENTS[name]


def target(
    client: Client, model: str | None, *, state_dir: str | None, url: str | None, given: bool, runs: bool
) -> Target:
    """
    Address, token and model for a client; ends the command when they cannot be had.

    With `runs` a gateway must be there, and the client keeps its last token; without it gets a new one.
    """
    url = url or os.environ.get("ORGATE_URL")
    token = _given(url) if given or url else None
    if url:
        return Target(gateways.root(url), str(token), model or client.model)
    place = gateways.place(state_dir)
    if not place.runs:
        _without_gateway(place, runs)
    return Target(place.base_url, token or _issued(client, place, again=runs), model or client.model)


def _given(url: str | None) -> str:
    token = os.environ.get("ORGATE_TOKEN", "").strip()
    if not token and not sys.stdin.isatty():
        token = sys.stdin.readline().strip()
    if not token:
        where = "Another gateway's token cannot be issued from here: put" if url else "Put"
        raise Failure(f"{where} the token into ORGATE_TOKEN, or give it on standard input.", MISUSED)
    if token.startswith("sk-or-"):
        raise Failure("That is an OpenRouter key, which stays with the gateway; give a token of orgate's.", MISUSED)
    return token


def _without_gateway(place: gateways.Place, runs: bool) -> None:
    start = "No gateway is running. Start one with: orgate serve (or, without a key: orgate demo)"
    if runs:
        raise Failure(start, NOT_RUNNING)
    if place.base_url.endswith(":0"):
        raise Failure(f"{start}. With ORGATE_PORT 0 its address is not known before.", NOT_RUNNING)
    click.echo(start, err=True)


def _issued(client: Client, place: gateways.Place, *, again: bool) -> str:
    from app.bootstrap.state import token_office

    office = token_office(options.settings(orgate_state_dir=str(place.folder)))
    issue = office.current if again else office.another
    return issue(client.name, client.wishes)
