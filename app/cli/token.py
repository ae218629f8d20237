"""`orgate token`: a token of its own for every program."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from app.cli import options
from app.cli.client import TOKEN
from app.cli.output import MISUSED, Failure, emit, table
from app.core.errors import GatewayError
from app.core.grants import OWNER, QUOTA_KINDS, SCOPES

if TYPE_CHECKING:
    from app.core.grants import Grant
    from app.services.tokens import TokenOffice


@click.group()
def command() -> None:
    """Issue, list and revoke the tokens of programs.

    \b
    Example:
      orgate token issue my-editor
      orgate token revoke my-editor
    """


@command.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it may do; all, if not given.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it lives.")
@click.option("--rate-chat", metavar="QUOTA", help='Its own quota, such as "60 per minute".')
@click.option("--rate-credits", metavar="QUOTA", help="As above.")
@click.option("--rate-models", metavar="QUOTA", help="As above.")
@click.option("--delivery", type=click.Choice(["live", "whole"]), help="Deliver answers as they come, or only whole.")
@click.option("--queue", metavar="S", help="Wait so long for the quota instead of getting 429.")
@click.option("--first-content-timeout", metavar="S", help="Move on from a model that is silent so long.")
@click.option("--idle-timeout", metavar="S", help="The same inside an answer.")
@click.option("--timeout", metavar="S", help="The longest a call may take.")
@click.option("--retry-ambiguous", is_flag=True, help="Repeat what may have been billed already.")
@click.option("--past-policy", is_flag=True, help="Ask the chain's next model also after a refusal for the content.")
@options.state_dir
@options.as_json
def issue(
    name: str,
    scopes: tuple[str, ...],
    days: int,
    rate_chat: str | None,
    rate_credits: str | None,
    rate_models: str | None,
    retry_ambiguous: bool,
    past_policy: bool,
    state_dir: str | None,
    as_json: bool,
    **wishes: str | None,
) -> None:
    """Print a new token for the program NAME, and nothing else. It is shown only this once.

    \b
    Example:
      OPENAI_API_KEY=$(orgate token issue my-script)
      orgate token issue batch --scope chat --rate-chat "120 per minute" --days 30
    """
    from app.settings.readers import rate

    given = dict(zip(QUOTA_KINDS, (rate_chat, rate_credits, rate_models), strict=True))
    try:
        quotas = {kind: rate(text) for kind, text in given.items() if text is not None}
    except ValueError as error:
        raise Failure(f"A quota {error}.", MISUSED) from None
    wanted = {wish.replace("_", "-"): text for wish, text in wishes.items() if text is not None}
    if retry_ambiguous:
        wanted["retry-ambiguous"] = "1"
    if past_policy:
        wanted["past-policy"] = "1"
    try:
        token, grant = _office(state_dir).issue(name, scopes=scopes or SCOPES, days=days, quotas=quotas, wishes=wanted)
    except GatewayError as error:
        raise Failure(error.message, MISUSED) from None
    if as_json:
        emit({"token": token, **_shape(grant)})
    else:
        click.echo(token)


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
    rows = [("APP", "ID", "SCOPES", "QUOTAS", "ISSUED", "STATE")]
    click.echo(table([*rows, *map(_row, grants)]))


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
        office = _office(state_dir)
        ended = office.revoke(name_or_id)
        if OWNER in {grant.app for grant in ended}:
            _renew_own(office, state_dir)
    except GatewayError as error:
        raise Failure(error.message) from None
    if as_json:
        emit([grant.id for grant in ended])
    else:
        click.echo(f"Revoked {len(ended)} token{'s' if len(ended) > 1 else ''} of {ended[0].app}.")


def _renew_own(office: TokenOffice, state_dir: str | None) -> None:
    """The command line's own token is replaced at once, or the next command could not ask the gateway."""
    from app.adapters.statefiles import write_private

    token, _ = office.issue(OWNER, own=True)
    write_private(options.settings(orgate_state_dir=state_dir).folders.state / TOKEN, f"{token}\n".encode())


def _office(state_dir: str | None) -> TokenOffice:
    from app.bootstrap import token_office

    return token_office(options.settings(orgate_state_dir=state_dir))


def _shape(grant: Grant) -> dict[str, object]:
    return {
        "app": grant.app,
        "id": grant.id,
        "scopes": sorted(grant.scopes),
        "quotas": dict(grant.quotas),
        "wishes": dict(grant.wishes),
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
    quotas = ", ".join(f"{kind} {rate}" for kind, rate in grant.quotas.items()) or "default"
    return grant.app, grant.id, " ".join(sorted(grant.scopes)), quotas, _day(grant.issued_at), state


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
