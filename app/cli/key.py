"""`orgate key`: keep the OpenRouter key out of programs, files and shell histories."""

from __future__ import annotations

import os
import sys

import click

from app.cli import options
from app.cli.output import MISUSED, Failure, emit


@click.group()
def command() -> None:
    """Keep the OpenRouter key.

    \b
    Example:
      orgate key set
      orgate key show
    """


@command.command("set")
@click.option("--keyring", is_flag=True, help="Keep it in the system's keyring (pip install 'orgate[keyring]').")
@options.state_dir
def set_key(keyring: bool, state_dir: str | None) -> None:
    """Ask for the key without showing it, or read it from standard input, and keep it.

    A running gateway uses the new key from its next call on; running answers finish with the old one.

    \b
    Example:
      orgate key set
      pass openrouter | orgate key set
    """
    from app.adapters.vault import KeyringMissing
    from app.bootstrap.state import key_store
    from app.settings.readers import key as read_key

    settings = options.settings(orgate_state_dir=state_dir)
    text = click.prompt("OpenRouter key", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    try:
        checked = read_key(text)
    except ValueError as error:
        raise Failure(f"The key {error}.", MISUSED) from None
    store = key_store(settings)
    try:
        store.save(checked, keyring=keyring)
    except KeyringMissing as error:
        raise Failure(str(error), MISUSED) from None
    click.echo(f"Kept in {store.place}.")
    if settings.api_key:
        origin = settings.origin("OPENROUTER_API_KEY")
        click.echo(f"But OPENROUTER_API_KEY is set ({origin}) and wins over it; remove it there.", err=True)


@command.command()
@options.state_dir
@options.as_json
def show(state_dir: str | None, as_json: bool) -> None:
    """Show which key is used and where it comes from; the key itself stays hidden.

    \b
    Example:
      orgate key show
    """
    from app.adapters.vault import KeyringMissing
    from app.bootstrap.state import key_store
    from app.core.redact import mask
    from app.settings import NoKey

    settings = options.settings(orgate_state_dir=state_dir)
    store = key_store(settings)
    try:
        key, place = settings.api_key, settings.origin("OPENROUTER_API_KEY")
        if key is None:
            key, place = store.load(), store.place
    except (KeyringMissing, OSError, ValueError) as error:
        raise Failure(f"The key in {store.place} cannot be used: {error}. Replace it with: orgate key set") from None
    if key is None:
        raise Failure(str(NoKey()))
    if as_json:
        emit({"key": mask(key), "from": place})
    else:
        click.echo(f"{mask(key)}  (from {_readable(place)})")


def _readable(place: str) -> str:
    home = os.path.expanduser("~")
    return place.replace(home, "~", 1) if place.startswith(home + os.sep) else place
