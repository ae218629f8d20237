"""`orgate serve`: run the gateway."""

from __future__ import annotations

import os

import click

from app.cli import options, running
from app.cli.output import emit


@click.command()
@options.port
@click.option("--host", metavar="ADDRESS", help="Where to listen.  [ORGATE_HOST]")
@click.option("--allow-remote", is_flag=True, help="Let an address be used that other machines can reach.")
@click.option("--workers", metavar="N", help="Processes that answer, for both cores of two.  [ORGATE_WORKERS]")
@options.state_dir
@options.as_json
def command(
    port: str | None, host: str | None, allow_remote: bool, workers: str | None, state_dir: str | None, as_json: bool
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM; running answers then get 10 s to finish.

    \b
    Example:
      orgate key set
      orgate serve --port 6767
      orgate serve --workers 2

    With --json the first line of output is {"base_url": …, "pid": …}, written when requests are answered. Logs go to
    standard error.
    """
    settings = options.settings(orgate_port=port, orgate_host=host, orgate_workers=workers, orgate_state_dir=state_dir)

    def ready(gateway: running.Ready) -> None:
        if as_json:
            emit({"base_url": gateway.base_url, "pid": os.getpid()})
            return
        click.echo(f"orgate is ready at {click.style(gateway.base_url, bold=True)}")
        click.echo(f"  OpenAI clients:   base_url  {gateway.base_url}/v1")
        click.echo(f"  OpenRouter SDKs:  base_url  {gateway.base_url}/api/v1")
        click.echo("  a token for each program:   orgate token issue NAME")

    running.run(settings, allow_remote=allow_remote, on_ready=ready)
