"""`orgate credits`: what is left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from app.cli import client, options
from app.cli.output import bar, emit, money
from app.core.forecast import about

_COLOURS = ("green", "yellow", "red")
_WINDOWS = {"24h": "day", "1h": "hour"}
_NO_END = {
    "nothing_spent": "the money lasts",
    "balance_unknown": "when the money ends is not known, since the balance is not",
    "spent": "nothing is left",
}


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
    click.echo("\n".join(_lines(credits, [mark / 1e9 for mark in low], datetime.now().astimezone())))


def _lines(credits: dict[str, Any], marks: list[float], now: datetime) -> list[str]:
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
    lines.append(f"Pace      {_pace(credits['forecast'], now)}")
    if key["label"] is not None:
        free = ", free tier" if key["is_free_tier"] else ""
        lines.append(f"Key       {key['label']}  used {money(key['used'])}{free}")
        lines.append(f"Key cap   {_cap(key)}")
    if credits["free_requests"] is not None:
        lines.append(f"Free      {_free(credits['free_requests'])}")
    notes = [f"asked {_ago(credits['age_s'])} ago"]
    notes += ["our own spending since then taken off"] if credits["estimated"] else []
    notes += [click.style("out of date: OpenRouter could not be asked again", fg="yellow")] if credits["stale"] else []
    lines.append(f"As of     {'; '.join(notes)}")
    return lines


def _cap(key: dict[str, Any]) -> str:
    if key["limit"] is None:
        return "none"
    reset = f", {key['limit_reset']}" if key["limit_reset"] else ""
    return f"{money(key['limit_remaining'])} of {money(key['limit'])} left{reset}"


def _pace(forecast: dict[str, Any], now: datetime) -> str:
    """How fast money is spent and when it ends."""
    known = [(name, forecast["per_hour"][name]) for name in _WINDOWS if forecast["per_hour"][name] is not None]
    if not known:
        return "not enough data yet"
    window, pace = known[0]
    shown = f"{f'{money(pace)} an hour' if pace else 'nothing spent'} over the last {_WINDOWS[window]}"
    if forecast["unusual"]:
        lately = f"far above the usual: {money(forecast['per_hour']['1h'])} in the last hour"
        shown = f"{shown}, {click.style(lately, fg='yellow')}"
    if forecast["ends_at"] is None:
        return f"{shown}; {_NO_END.get(forecast['reason'], forecast['reason'])}"
    end = datetime.fromisoformat(forecast["ends_at"]).astimezone(now.tzinfo)
    return f"{shown}; the money ends in {about((end - now).total_seconds())} ({_date(end, now)})"


def _date(moment: datetime, now: datetime) -> str:
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    return f"{moment.day} {moment:%b}" if moment.year == now.year else f"{moment.day} {moment:%b %Y}"


def _free(requests: dict[str, Any]) -> str:
    used, limit, remaining = (requests[name] for name in ("used", "limit", "remaining"))
    if remaining is not None and limit is not None:
        return f"{remaining} of {limit} requests to free models left today"
    return f"{used if used is not None else 'unknown'} requests to free models today"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
