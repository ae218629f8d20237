"""`orgate sandbox`: the OpenRouter stand-in alone."""

from __future__ import annotations

import os
import signal
import threading

import click

from app.cli import options
from app.cli.output import MISUSED, TAKEN, Failure, emit, table


@click.command()
@click.option("--port", metavar="N", help="Port; a free one if not given.")
@options.state_dir
@options.as_json
@click.option("--list", "list_faults", is_flag=True, help="List the models that misbehave on request, and end.")
def command(port: str | None, state_dir: str | None, as_json: bool, list_faults: bool) -> None:
    """Run a pretend OpenRouter on loopback: offline, free, and it misbehaves on request.

    \b
    Example:
      orgate sandbox --port 6768
      OPENROUTER_BASE_URL=http://127.0.0.1:6768/api/v1 orgate serve

    With --json the first line of output is {"base_url": …, "pid": …}. It keeps no files.
    """
    from app.sandbox.faults import listing
    from app.sandbox.server import Sandbox
    from app.server import holder_of, wait_for_signal

    if list_faults:
        rows = listing()
        if as_json:
            emit([{"model": name, "what": what} for name, what in rows])
        else:
            click.echo(table([("MODEL", "WHAT HAPPENS"), *rows]))
        return
    if port is not None and not (port.isdecimal() and int(port) <= 65535):
        raise Failure("--port takes a number from 0 to 65535.", MISUSED)
    ended = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ended.set())
    try:
        sandbox = Sandbox(port=int(port or 0)).start()
    except OSError as error:
        holder = holder_of(int(port or 0))
        by = f" by {holder}" if holder else f": {error.strerror}"
        raise Failure(f"Port {port} is taken{by}. Choose another with --port.", TAKEN) from None
    try:
        if as_json:
            emit({"base_url": sandbox.origin, "pid": os.getpid()})
        else:
            click.echo(f"The sandbox is ready: OPENROUTER_BASE_URL={sandbox.url}")
            click.echo("Any key that starts with sk-or- will do. Ctrl-C ends it.")
        wait_for_signal(ended)
    finally:
        sandbox.stop()
