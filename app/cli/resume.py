"""`orgate resume`: the end of a pause."""

from __future__ import annotations

import click

from app.cli import client, options
from app.cli.output import emit
from app.core.pauses import EVERYBODY


@click.command()
@click.argument("app", required=False)
@client.url_option
@options.state_dir
@options.as_json
def command(app: str | None, url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Take the calls of the program APP again; without a name every pause is lifted.

    \b
    Example:
      orgate resume my-agent
      orgate resume
    """
    gateway = client.find(state_dir, url)
    if gateway is not None:
        told = gateway.post("/api/openrouter/resume", {"app": app})
    else:
        told = {"paused": _in_file(app, state_dir)}
    if as_json:
        emit(told)
        return
    still = told["paused"] or []
    if EVERYBODY in still:
        click.echo("Every program is paused; one alone cannot be resumed. To lift the pause: orgate resume")
        return
    others = f" Still paused: {', '.join(still)}." if still else ""
    click.echo(f"{'Every program' if app is None else app} may call again.{others}")


def _in_file(app: str | None, state_dir: str | None) -> list[str]:
    from app.bootstrap.state import pause_file, token_office

    settings = options.settings(orgate_state_dir=state_dir)
    pauses = pause_file(settings)
    if app is not None and app != EVERYBODY and app not in pauses.paused():
        token_office(settings).check_known(app)
    pauses.resume(app or EVERYBODY)
    return sorted(pauses.paused())
