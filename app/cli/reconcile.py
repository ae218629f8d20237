"""`orgate reconcile`: the ledger against OpenRouter's own figures, now."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import click

from app.cli import client, options
from app.cli.client import Gateway
from app.cli.output import FAILED, emit, money

_LEAST_S, _MOST_S = 0.5, 5.0
"""So often it is looked again."""


@click.command()
@click.option("--wait", is_flag=True, help="Go on until no attempt's cost is open any more.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=180.0, show_default=True, metavar="S", help="At most so long."
)
@client.url_option
@options.state_dir
@options.as_json
@click.pass_context
def command(
    ctx: click.Context, wait: bool, timeout: float, url: str | None, state_dir: str | None, as_json: bool
) -> None:
    """Ask OpenRouter what attempts cost that nobody has told yet, and compare its totals with the ledger.

    The gateway does this by itself every hour, and sooner when something is open. With --wait the exit code is 1 if
    something still is when the time is up.

    \b
    Example:
      orgate reconcile --wait
    """
    gateway = client.running(state_dir, url)
    told = _until_settled(gateway, timeout) if wait else _reconcile(gateway)
    if as_json:
        emit(told)
    else:
        click.echo("\n".join(_lines(told)))
    ctx.exit(FAILED if wait and told["open"] else 0)


def _reconcile(gateway: Gateway) -> dict[str, Any]:
    told: dict[str, Any] = gateway.post("/api/openrouter/reconcile", {})
    return told


def _until_settled(gateway: Gateway, timeout_s: float) -> dict[str, Any]:
    """What all rounds have found together, until nothing is open or the time is up."""
    deadline = time.monotonic() + timeout_s
    told = _reconcile(gateway)
    while told["open"] and (left_s := deadline - time.monotonic()) > 0:
        click.echo(f"{_attempts(told['open'])} open; waiting, {left_s:.0f} s at most", err=True)
        time.sleep(min(max(told["waits_s"] or 0, _LEAST_S), _MOST_S, left_s))
        told = _together(told, _reconcile(gateway))
    return told


def _together(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The gateway settles by itself as well: what is no longer open was settled, whoever did it."""
    written_off = before["written_off"] + now["written_off"]
    ended = max(now["settled"], before["open"] - now["open"] - now["written_off"])
    told = [Decimal(one["outside"]) for one in (before, now) if one["outside"] is not None]
    outside = str(sum(told)) if told else None
    return {**now, "settled": before["settled"] + ended, "written_off": written_off, "outside": outside}


def _lines(told: dict[str, Any]) -> list[str]:
    lines = []
    if told["settled"]:
        lines.append(f"{_attempts(told['settled'])} settled.")
    if told["written_off"]:
        lines.append(f"{_attempts(told['written_off'])} written off: nobody told the cost, what was held counts.")
    if told["open"]:
        lines.append(f"{_attempts(told['open'])} still open: OpenRouter has not told the cost yet.")
    return [*(lines or ["No attempt's cost is open."]), _totals(told)]


def _totals(told: dict[str, Any]) -> str:
    if told["outside"] is None:
        wait = f" in {told['waits_s']:.0f} s" if told["waits_s"] else " once the open attempts are known to it"
        return f"OpenRouter's totals lag behind; they can be compared{wait}, if no call comes between."
    outside = float(told["outside"])
    if outside == 0:
        return "OpenRouter's totals agree: nothing was spent outside orgate since the last time."
    if outside < 0:
        return f"OpenRouter charged {money(-outside)} less than its answers said."
    return f"{money(outside)} was spent outside orgate since the last time."


def _attempts(count: int) -> str:
    return f"{count} attempt{'' if count == 1 else 's'}"
