"""`orgate db`: the care of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import client, options
from app.cli.output import FAILED, MISUSED, Failure, emit, moment, size

if TYPE_CHECKING:
    from app.adapters.ledger import SqlLedger
    from app.settings import Settings

_PATH = "/api/openrouter/ledger"
_RESTORES = "Start the gateway anew: it sets the file aside and goes on from the last good copy."


@click.group(invoke_without_command=True)
@client.url_option
@options.state_dir
@options.as_json
@click.pass_context
def command(ctx: click.Context, url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Look after the ledger, the record of every attempt and what it cost. Alone it shows how the ledger is.

    \b
    Example:
      orgate db
      orgate db backup ~/ledger-copy.db
    """
    assert isinstance(ctx.command, click.Group)
    given = {name: value for name, value in ctx.params.items() if value}
    ctx.default_map = dict.fromkeys(ctx.command.commands, given)
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, url=url, state_dir=state_dir, as_json=as_json)


@command.command()
@client.url_option
@options.state_dir
@options.as_json
def show(url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Show the ledger's place, size, age and state.

    \b
    Example:
      orgate db show
    """
    gateway = client.find(state_dir, url)
    if gateway is not None:
        state = gateway.get(_PATH)
    else:
        from app.web.control import state_shape

        state = state_shape(_ledger(_settings(state_dir)).state())
    if as_json:
        emit(state)
    else:
        click.echo("\n".join(_lines(state, is_running=gateway is not None)))


@command.command()
@options.state_dir
@options.as_json
@click.pass_context
def check(ctx: click.Context, state_dir: str | None, as_json: bool) -> None:
    """Say whether all of the ledger is sound.

    The exit code is 1 if it is not. A running gateway goes on meanwhile.

    \b
    Example:
      orgate db check
    """
    settings = _settings(state_dir)
    ledger = _ledger(settings)
    fault = ledger.faults()
    if as_json:
        emit({"path": str(_place(settings)), "sound": fault is None, "fault": fault})
    elif fault is None:
        click.echo(f"The ledger is sound ({size(ledger.state().size_bytes)} read).")
    else:
        click.echo(f"The ledger is damaged: {fault}\n{_RESTORES}")
    ctx.exit(FAILED if fault else 0)


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if there is one.")
@options.state_dir
@options.as_json
def backup(file: Path, force: bool, state_dir: str | None, as_json: bool) -> None:
    """Copy the ledger as it is now to FILE.

    The gateway goes on meanwhile. It makes a copy of its own every day, and keeps three.

    \b
    Example:
      orgate db backup ~/ledger-copy.db
    """
    settings = _settings(state_dir)
    ledger = _ledger(settings)
    own = _place(settings)
    if file.resolve() in {Path(f"{own.resolve()}{end}") for end in ("", "-wal", "-shm", "-journal")}:
        raise Failure("That is the ledger itself; give another file.", MISUSED)
    if file.exists() and not force:
        raise Failure(f"{file} exists already. Give another name, or --force to replace it.")
    if not file.absolute().parent.is_dir():
        raise Failure(f"There is no folder {file.absolute().parent}.")
    ledger.backup(file.absolute())
    copied = file.stat().st_size
    if as_json:
        emit({"path": str(file.absolute()), "size_bytes": copied})
    else:
        click.echo(f"Copied to {file} ({size(copied)}).")


@command.command()
@click.option("--before", metavar="DATE", help="Such as 2026-01-01, in UTC.")
@click.option("--older-than", metavar="DAYS", help="Such as 365d.")
@client.url_option
@options.state_dir
@options.as_json
def trim(before: str | None, older_than: str | None, url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Remove the single attempts from before a moment.

    Their sums stay in every report, and open attempts stay. The gateway does this by itself for what is older
    than ORGATE_KEEP_DAYS. Their room is used again; without a running gateway the file becomes smaller as well.

    \b
    Example:
      orgate db trim --older-than 365d
    """
    text = before or older_than
    if text is None or (before and older_than):
        raise click.UsageError("Give --before or --older-than.")
    _check_moment(text, "--before" if before else "--older-than")
    gateway = client.find(state_dir, url)
    told = gateway.post(f"{_PATH}/trim", {"before": text}) if gateway is not None else _trim_file(text, state_dir)
    if as_json:
        emit(told)
        return
    count, then = told["removed"], f"from before {moment(told['before'])} UTC"
    if count == 0:
        click.echo(f"There were no attempts {then}.")
    else:
        click.echo(f"Removed {count:,} attempt{'' if count == 1 else 's'} {then}; their sums stay.")


@command.command()
@client.url_option
@options.state_dir
@options.as_json
def accept(url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Let budgets count again after the ledger was restored.

    Programs with a budget wait for this once the ledger was restored from a copy or exchanged. What was spent
    since that copy may be missing from the ledger; see orgate usage before you accept it.

    \b
    Example:
      orgate db accept
    """
    gateway = client.find(state_dir, url)
    told = gateway.post(f"{_PATH}/accept", {}) if gateway is not None else {"accepted": _accept_file(state_dir)}
    if as_json:
        emit(told)
    elif told["accepted"] is None:
        click.echo("There is nothing to accept: the ledger counts.")
    else:
        click.echo(f"Accepted ({told['accepted']}): budgets count again from what the ledger holds.")


def _lines(state: dict[str, Any], *, is_running: bool) -> list[str]:
    oldest = f", the oldest from {moment(state['oldest_at'])} UTC" if state["oldest_at"] else ""
    if state["trouble"]:
        writing = click.style(f"impossible ({state['trouble']}): nothing is sent", fg="red")
    else:
        writing = "works" if is_running else "no gateway is running"
    lines = [
        f"Ledger    {state['path']}",
        f"Size      {size(state['size_bytes'])}",
        f"Attempts  {state['attempts']:,}{oldest}",
        f"Copy      {state['last_backup'] or 'none yet; one is made every day'}",
        f"Writing   {writing}",
    ]
    if state["locked"]:
        locked = click.style(f"{state['locked']}: programs with a budget wait", fg="yellow")
        lines.append(f"Locked    {locked}\n          see orgate usage, then: orgate db accept")
    return lines


def _check_moment(text: str, option: str) -> None:
    import time

    from app.core import span
    from app.core.errors import BadRequest

    try:
        span.moment(text, time.time(), option)
    except BadRequest as error:
        raise Failure(error.message, MISUSED) from None


def _trim_file(text: str, state_dir: str | None) -> dict[str, Any]:
    import time

    from app.core import span
    from app.web.control import trim_moment

    before = trim_moment(text, time.time())
    with _alone(state_dir) as ledger:
        removed = ledger.trim(before)
        locked = ledger.state().locked
        if removed:
            ledger.stop()
            _compact(Path(ledger.state().path))
    if locked:
        click.echo(f"{locked}: programs with a budget wait. See orgate usage, then: orgate db accept", err=True)
    return {"removed": removed, "before": span.iso(before)}


def _compact(path: Path) -> None:
    import sqlite3

    from app.adapters.ledger import files

    try:
        files.compact(path)
    except (sqlite3.Error, OSError) as error:
        click.echo(f"(the file could not be made smaller: {error})", err=True)


def _accept_file(state_dir: str | None) -> str | None:
    with _alone(state_dir) as ledger:
        # Read first: what cannot be read is not accepted unseen, and opening it to write would restore it.
        locked = ledger.state().locked
        if locked is not None:
            ledger.accept()
    return locked


@contextmanager
def _alone(state_dir: str | None) -> Iterator[SqlLedger]:
    """The ledger while no gateway can have it; ends the command when one has."""
    from app.adapters.ledger.schema import VERSION
    from app.cli import running

    settings = options.settings(orgate_state_dir=state_dir)
    ledger = _ledger(settings)
    with running.alone(settings.folders.state):
        try:
            version = int(ledger.fact("version") or 0)
            if version > VERSION:
                told = f"version {version}, while this orgate knows {VERSION}"
                raise Failure(f"The ledger was written by a newer orgate ({told}). Update orgate.")
            yield ledger
        finally:
            ledger.stop()


def _ledger(settings: Settings) -> SqlLedger:
    from app.bootstrap.state import ledger_path, ledger_reader

    ledger = ledger_reader(settings)
    if ledger is None:
        raise Failure(f"There is no ledger yet: {ledger_path(settings)} is made when a gateway first starts.")
    return ledger


def _place(settings: Settings) -> Path:
    from app.bootstrap.state import ledger_path

    return ledger_path(settings)


def _settings(state_dir: str | None) -> Settings:
    """The settings of the state folder, or of the demo's where that is what runs."""
    settings = options.settings(orgate_state_dir=state_dir)
    folder = settings.folders.state
    if client.whereabouts(folder) is None and client.whereabouts(folder / client.DEMO) is not None:
        click.echo("(looking at the demo)", err=True)
        return options.settings(orgate_state_dir=folder / client.DEMO)
    return settings
