"""`orgate pause`: the kill switch."""

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
    """Take no more calls of the program APP, or of any without a name, and end those that run.

    It holds until `orgate resume`, also over a restart. What a paused program may still do is to look: at models,
    credits and usage.

    \b
    Example:
      orgate pause my-agent
      orgate pause
    """
    gateway = client.find(state_dir, url)
    if gateway is not None:
        told = gateway.post("/api/openrouter/pause", {"app": app})
    else:
        told = {"paused": _in_file(app, state_dir), "ended": 0}
    if as_json:
        emit(told)
        return
    ended = told["ended"]
    calls = f"{ended} running call{'' if ended == 1 else 's'} ended" if ended else "no call was running"
    then = calls if gateway is not None else "no gateway is running: it holds from the next start on"
    click.echo(f"{'Every program' if app is None else app} is paused; {then}.")


def _in_file(app: str | None, state_dir: str | None) -> list[str]:
    from app.bootstrap.state import pause_file, token_office

    settings = options.settings(orgate_state_dir=state_dir)
    if app is not None and app != EVERYBODY:
        token_office(settings).check_known(app)
    pauses = pause_file(settings)
    pauses.pause(app or EVERYBODY)
    return sorted(pauses.paused())
