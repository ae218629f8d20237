"""Speaking to the gateway as one of the owner's programs: its budget, its limits, its lines in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from app.cli import options
from app.cli.client import Gateway
from app.cli.output import MISUSED, Failure
from app.core.errors import GatewayError, NotFound

_DAYS = 30


@contextmanager
def speaking_as(gateway: Gateway, app: str | None) -> Iterator[Gateway]:
    """The gateway with a token of this app (None: as it is), which ends with the block; ends the command otherwise."""
    if app is None:
        yield gateway
        return
    if gateway.folder is None:
        raise Failure(
            "--app needs the gateway's own state folder. For a gateway by its address put the program's token into "
            "ORGATE_TOKEN.",
            MISUSED,
        )
    from app.bootstrap.state import token_office

    office = token_office(options.settings(orgate_state_dir=str(gateway.folder)))
    try:
        office.check_known(app)
        # Budgets, models and prices come from the token before; quotas do not by themselves.
        quotas = [grant.quotas for grant in office.all() if grant.app == app and grant.revoked_at is None]
        token, grant = office.issue(app, scopes=("chat", "models"), days=_DAYS, quotas=quotas[-1] if quotas else None)
    except NotFound as error:
        raise Failure(error.message) from None
    except GatewayError as error:
        raise Failure(error.message, MISUSED) from None
    try:
        yield replace(gateway, token=token)
    finally:
        with suppress(GatewayError):
            office.revoke(grant.id)
