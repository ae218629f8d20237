"""Options that many commands share, and the settings behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli.output import MISUSED, Failure

if TYPE_CHECKING:
    from app.settings import Settings

state_dir = click.option(
    "--state-dir",
    metavar="DIR",
    help="Keep and read all of orgate's own files there.  [ORGATE_STATE_DIR]",
)
port = click.option("--port", metavar="N", help="Port; 0 picks a free one.  [ORGATE_PORT]")
as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


def settings(**arguments: Any) -> Settings:  # values of click options; None where not given
    """The settings with these arguments on top; ends the command when one cannot be used."""
    from app.settings import SettingsError, load

    given = {name.upper(): str(value) for name, value in arguments.items() if value is not None}
    try:
        return load(given)
    except SettingsError as error:
        raise Failure(str(error), MISUSED) from None
