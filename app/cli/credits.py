"""`orgate credits`: what is left."""

from __future__ import annotations

from typing import Any

import click

from app.cli import client, options
from app.cli.output import bar, emit, money

_COLOURS = ("green", "yellow", "red")


@click.command()
@click.option("--force", is_flag=True, help="Ask OpenRouter now, whatever is known.")
@client.url_option
@options.state_dir
@options.as_json
def command(force: bool, url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Show what is left on the account, as the running gateway knows it.

    \b
    Example:
      orgate credits
    """
    gateway = client.running(state_dir, url)
    credits = gateway.get("/api/openrouter/credits", **({"force": "true"} if force else {}))
    if as_json:
        emit(credits)
        return
    low = options.settings(orgate_state_dir=state_dir).low_balance
    click.echo("\n".join(_lines(credits, [mark / 1e9 for mark in low])))


def _lines(credits: dict[str, Any], marks: list[float]) -> list[str]:
    total, remaining, key = credits["total_credits"], credits["remaining_credits"], credits["usage"]
    lines = []
    if remaining is None:
        lines.append("Balance   unknown: OpenRouter tells it only to management keys (OPENROUTER_MANAGEMENT_KEY)")
    else:
        level = min(sum(remaining < mark for mark in marks), len(_COLOURS) - 1)
        part = remaining / total if total else 0.0
        shown = click.style(f"{money(remaining)} of {money(total)}", fg=_COLOURS[level], bold=True)
        lines.append(f"Balance   {shown}  {bar(part)} {part:.0%} left{', low' if level else ''}")
        lines.append(f"Used      {money(credits['used_credits'])}")
    if key["label"] is not None:
        cap = "no limit" if key["limit"] is None else f"{money(key['limit_remaining'])} of {money(key['limit'])} left"
        reset = f", {key['limit_reset']}" if key["limit_reset"] else ""
        free = ", free tier" if key["is_free_tier"] else ""
        lines.append(f"Key       {key['label']}  used {money(key['used'])}, {cap}{reset}{free}")
    notes = [f"asked {_ago(credits['age_s'])} ago"]
    notes += ["our own spending since then taken off"] if credits["estimated"] else []
    notes += [click.style("out of date: OpenRouter could not be asked again", fg="yellow")] if credits["stale"] else []
    lines.append(f"As of     {'; '.join(notes)}")
    return lines


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
