"""`orgate token`: a token of its own for every program."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.cli import limits, options
from app.cli.client import TOKEN, settings_of_running
from app.cli.output import MISUSED, Failure, emit, table
from app.core.errors import GatewayError, NotFound
from app.core.grants import OWNER, SCOPES

if TYPE_CHECKING:
    from app.core.grants import Grant
    from app.services.tokens import TokenOffice
    from app.settings import Settings


@click.group()
def command() -> None:
    """Issue, change, list and revoke the tokens of programs.

    \b
    Example:
      orgate token issue my-editor
      orgate token revoke my-editor
    """


@command.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it may do; all, if not given.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it lives.")
@limits.given
@click.option("--delivery", type=click.Choice(["live", "whole"]), help="Deliver answers as they come, or only whole.")
@click.option("--queue", metavar="S", help="Wait so long for the quota instead of getting 429.")
@click.option("--first-content-timeout", metavar="S", help="Move on from a model that is silent so long.")
@click.option("--idle-timeout", metavar="S", help="The same inside an answer.")
@click.option("--timeout", metavar="S", help="The longest a call may take.")
@click.option("--cache", metavar="S", help="Give answers to the same call again that are no older.")
@click.option("--retry-ambiguous", is_flag=True, help="Repeat what may have been billed already.")
@click.option("--past-policy", is_flag=True, help="Ask the chain's next model also after a refusal for the content.")
@click.option("--clamp", is_flag=True, help="Ask for as long an answer as can be paid for, where the call cannot.")
@options.state_dir
@options.as_json
def issue(
    name: str,
    scopes: tuple[str, ...],
    days: int,
    retry_ambiguous: bool,
    past_policy: bool,
    clamp: bool,
    state_dir: str | None,
    as_json: bool,
    **given: Any,  # limits and wishes, by name
) -> None:
    """Print a new token for the program NAME, and nothing else. It is shown only this once.

    \b
    Example:
      OPENAI_API_KEY=$(orgate token issue my-script)
      orgate token issue batch --scope chat --rate-chat "120 per minute" --days 30
      orgate token issue agent --budget 5/day --budget 50/month --models "openai/gpt-4o-mini,qwen/*" --max-price 1,5
    """
    wishes = {wish: text for wish, text in given.items() if wish not in limits.NAMES and text is not None}
    wanted = {wish.replace("_", "-"): text for wish, text in wishes.items()}
    if retry_ambiguous:
        wanted["retry-ambiguous"] = "1"
    if past_policy:
        wanted["past-policy"] = "1"
    if clamp:
        wanted["clamp"] = "1"
    try:
        token, grant = _office(state_dir).issue(
            name, scopes=scopes or SCOPES, days=days, wishes=wanted, **limits.read(given)
        )
    except GatewayError as error:
        raise Failure(error.message, MISUSED) from None
    if as_json:
        emit({"token": token, **_shape(grant)})
    else:
        click.echo(token)


@command.command("set")
@click.argument("name")
@limits.given
@click.option("--cache", metavar="S", help='Give answers to the same call again that are no older. Or "none".')
@options.state_dir
@options.as_json
def set_limits(name: str, cache: str | None, state_dir: str | None, as_json: bool, **given: Any) -> None:  # limits
    """Change the limits of all tokens of the program NAME; at once, without new tokens or a restart.

    What is not named stays. The budgets that are given take the place of all it had. --budget none, --models all,
    --max-price none, --rate-chat default and --cache none lift what was set.

    \b
    Example:
      orgate token set my-editor --budget 5/day --budget 50/month
      orgate token set my-tests --cache 3600
      orgate token set my-editor --budget none --models "anthropic/*"
    """
    changes = limits.read(given)
    if cache is not None:
        changes["wishes"] = {"cache": None if cache == "none" else cache}
    if not changes:
        raise Failure("Say what to change; see: orgate token set --help", MISUSED)
    try:
        changed = _office(state_dir).change(name, **changes)
    except NotFound as error:
        raise Failure(error.message) from None
    except GatewayError as error:
        raise Failure(error.message, MISUSED) from None
    if as_json:
        emit([_shape(grant) for grant in changed])
    else:
        last = changed[-1]
        told = "; ".join(filter(None, [limits.told(last), _quotas(last), _cache(last)])) or "no limits of its own"
        click.echo(f"Changed {len(changed)} token{'s' if len(changed) > 1 else ''} of {name}: {told}.")


@command.command("list")
@options.state_dir
@options.as_json
def list_tokens(state_dir: str | None, as_json: bool) -> None:
    """List the tokens; what was issued is never shown again.

    \b
    Example:
      orgate token list
    """
    grants = _office(state_dir).all()
    if as_json:
        emit([_shape(grant) for grant in grants])
        return
    if not grants:
        click.echo("No tokens yet. Issue one with: orgate token issue NAME")
        return
    rows = [("APP", "ID", "SCOPES", "QUOTAS", "ISSUED", "STATE"), *map(_row, grants)]
    told = ["LIMITS", *map(limits.told, grants)]
    if any(told[1:]):
        rows = [(*row, limit) for row, limit in zip(rows, told, strict=True)]
    click.echo(table(rows))


@command.command()
@click.argument("name_or_id")
@options.state_dir
@options.as_json
def revoke(name_or_id: str, state_dir: str | None, as_json: bool) -> None:
    """End all tokens of a program, or the one with this id; at once, without a restart.

    \b
    Example:
      orgate token revoke my-editor
    """
    try:
        settings = settings_of_running(state_dir, "tokens")
        office = _office_of(settings)
        ended = office.revoke(name_or_id)
        if OWNER in {grant.app for grant in ended}:
            _renew_own(office, settings)
    except GatewayError as error:
        raise Failure(error.message) from None
    if as_json:
        emit([grant.id for grant in ended])
    else:
        click.echo(f"Revoked {len(ended)} token{'s' if len(ended) > 1 else ''} of {ended[0].app}.")


def _renew_own(office: TokenOffice, settings: Settings) -> None:
    """The command line's own token is replaced at once, or the next command could not ask the gateway."""
    from app.adapters.statefiles import write_private

    token, _ = office.issue(OWNER, own=True)
    write_private(settings.folders.state / TOKEN, f"{token}\n".encode())


def _office(state_dir: str | None) -> TokenOffice:
    return _office_of(settings_of_running(state_dir, "tokens"))


def _office_of(settings: Settings) -> TokenOffice:
    from app.bootstrap.state import token_office

    return token_office(settings)


def _shape(grant: Grant) -> dict[str, object]:
    return {
        "app": grant.app,
        "id": grant.id,
        "scopes": sorted(grant.scopes),
        "quotas": dict(grant.quotas),
        "wishes": dict(grant.wishes),
        **limits.shape(grant),
        "issued_at": grant.issued_at,
        "expires_at": grant.expires_at,
        "revoked_at": grant.revoked_at,
    }


def _row(grant: Grant) -> tuple[str, ...]:
    if grant.revoked_at is not None:
        state = f"revoked {_day(grant.revoked_at)}"
    elif grant.expires_at <= time.time():
        state = f"expired {_day(grant.expires_at)}"
    else:
        state = f"until {_day(grant.expires_at)}"
    quotas = _quotas(grant) or "default"
    return grant.app, grant.id, " ".join(sorted(grant.scopes)), quotas, _day(grant.issued_at), state


def _quotas(grant: Grant) -> str:
    return ", ".join(f"{kind} {rate}" for kind, rate in grant.quotas.items())


def _cache(grant: Grant) -> str:
    seconds = grant.wishes.get("cache")
    return "" if seconds is None else f"answers up to {seconds} s old"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
