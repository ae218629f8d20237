"""`orgate usage`: what was spent, and by whom."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from app.cli import client, options
from app.cli.output import MISUSED, Failure, bar, emit, moment, money, plain, table

if TYPE_CHECKING:
    from app.core.span import Span
    from app.settings import Settings

_KINDS = ("day", "app", "model", "agent")
_FROM_THE_BEGINNING = "all"
_BAR = 12
_SHORTEST_BAR, _LONGEST_BAR = 6, 24
_SHORTEST_NAME = 12
_GAP = 2
_PERCENT = len(" 100%")
_CENT = Decimal("0.01")
_DECIMALS = ((100, 2, 2), (1, 2, 4), (_CENT, 4, 6), (0, 6, 9))
"""From which greatest amount on how many decimals are shown, at the fewest and at the most."""

_FORMULA = frozenset("=+-@")
"""A spreadsheet takes what begins with one of these for a formula, and programs choose the names of models."""


@click.command()
@click.option("--by", type=click.Choice(_KINDS), default="day", show_default=True, help="One line for each of these.")
@click.option(
    "--since", default="30d", show_default=True, metavar="TIME", help="24h, 7d, today, week, month, a date, or all."
)
@click.option("--until", metavar="TIME", help="The same; the moment itself is not included.")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in comma-separated values.")
@client.url_option
@options.state_dir
@options.as_json
def command(
    by: str, since: str, until: str | None, as_csv: bool, url: str | None, state_dir: str | None, as_json: bool
) -> None:
    """Show what all programs have spent, from the running gateway or, without one, from the ledger itself.

    Days are days of UTC, and whole hours are added up. JSON and CSV have every amount to the last nano-dollar.

    \b
    Example:
      orgate usage --by app --since month
      orgate usage --by model --since 2026-11-01 --until 2026-12-01 --csv > november.csv
    """
    if as_csv and as_json:
        raise click.UsageError("Give --json or --csv, not both.")
    wanted = {"by": by, "since": "" if since == _FROM_THE_BEGINNING else since, "until": until or ""}
    wanted = {name: text for name, text in wanted.items() if text}
    time = _time(wanted)
    gateway = client.find(state_dir, url)
    if gateway is not None:
        usage = gateway.get("/api/openrouter/usage", **wanted)
    else:
        usage = _from_file(options.settings(orgate_state_dir=state_dir), wanted, time)
    if as_json:
        emit(usage)
    elif as_csv:
        _write_csv(usage)
    else:
        click.echo("\n".join(_lines(usage, datetime.now().astimezone())))


def _time(wanted: dict[str, str]) -> Span:
    import time

    from app.core import span
    from app.core.errors import BadRequest

    try:
        return span.read(wanted.get("since"), wanted.get("until"), time.time())
    except BadRequest as error:
        raise Failure(f"--{error.message}", MISUSED) from None


def _from_file(settings: Settings, wanted: dict[str, str], time: Span) -> dict[str, Any]:
    from app.bootstrap.state import ledger_reader, pause_file, usage_reader
    from app.core.ledger import Sums, UsageReport
    from app.services import statement

    ledger, pauses = ledger_reader(settings), pause_file(settings)
    if ledger is None:
        return statement.shape(
            time, UsageReport(wanted["by"], 0, 0, (), Sums(0, 0, 0, 0)), [], statement.who_is_paused(pauses)
        )
    click.echo("(no gateway is running: read from the ledger itself)", err=True)
    told = statement.report(usage_reader(settings, ledger), pauses, wanted, time.until)
    # Without a gateway no call is under way: what is held is what a crash has left.
    return {**told, "unsettled": told["held"]}


def _write_csv(usage: dict[str, Any]) -> None:
    by = usage["by"]
    names = (by, "calls", "attempts", "prompt_tokens", "completion_tokens", "cost", "estimated")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in usage["data"]:
        key = plain(row[by] or "")
        writer.writerow((f"'{key}" if key[:1] in _FORMULA else key, *(row[name] for name in names[1:])))


def _lines(usage: dict[str, Any], now: datetime) -> list[str]:
    begin = f"{moment(usage['since'])} – " if usage["since"] else "up to "
    lines = [f"{begin}{moment(usage['until'])} UTC", ""]
    if usage["data"]:
        lines.append(_report(usage))
    elif usage["since"]:
        lines.append("No calls in this time. For all there ever were: orgate usage --since all")
    else:
        lines = ["No calls yet. What programs spend through the gateway will show up here."]
    notes = _notes(usage)
    lines += ["", *notes] if notes else []
    if usage["budgets"]:
        lines += ["", _budgets(usage["budgets"], now)]
    return lines


def _report(usage: dict[str, Any]) -> str:
    by, rows, total = usage["by"], usage["data"], Decimal(usage["total_cost"])
    costs = [Decimal(row["cost"]) for row in rows]
    places, most = _places([*costs, total]), max(costs)
    figures = [("CALLS", "TOKENS IN", "OUT", "COST")]
    figures += [(*_counts([row]), _amount(cost, places)) for row, cost in zip(rows, costs, strict=True)]
    figures.append((*_counts(rows), _amount(total, places)))
    names = [by.upper(), *(plain(row[by] or "–") for row in rows), "total"]
    name_width, bar_width = _widths(names, figures)
    parts = [f"{bar(float(cost / most), bar_width)} {cost / total:>4.0%}" if total > 0 else "" for cost in costs]
    cells = [
        (_cut(name, name_width), *row, part) for name, row, part in zip(names, figures, ["", *parts, ""], strict=True)
    ]
    *lines, last = table(cells, right=frozenset({1, 2, 3, 4})).split("\n")
    return "\n".join([*lines, click.style(last, bold=True)])


def _widths(names: Sequence[str], figures: Sequence[Sequence[str]]) -> tuple[int, int]:
    """So wide may names and bars be that a line fits the terminal; names go first. A file takes any width."""
    longest = max(map(len, names))
    if not sys.stdout.isatty():
        return longest, _BAR
    taken = sum(max(map(len, column)) + _GAP for column in zip(*figures, strict=True)) + _GAP + _PERCENT
    free = shutil.get_terminal_size().columns - 1 - taken
    bar_width = max(_SHORTEST_BAR, min(_LONGEST_BAR, free - longest))
    return max(_SHORTEST_NAME, free - bar_width), bar_width


def _counts(rows: Iterable[dict[str, Any]]) -> tuple[str, str, str]:
    """Calls and tokens in and out, added up."""
    rows = list(rows)
    calls, prompt, completion = (
        f"{sum(row[name] for row in rows):,}" for name in ("calls", "prompt_tokens", "completion_tokens")
    )
    return calls, prompt, completion


def _places(costs: list[Decimal]) -> int:
    """How many decimals show two figures of the least amount, as far as the greatest lets them matter."""
    spent = [abs(cost) for cost in costs if cost]
    fewest, most = next((few, most) for above, few, most in _DECIMALS if max(spent, default=_CENT) >= above)
    return max(fewest, min(most, 1 - min(spent, default=_CENT).adjusted()))


def _amount(cost: Decimal, places: int) -> str:
    if not cost:
        return "$0"
    least = Decimal(1).scaleb(-places)
    if 0 < cost < least / 2:
        return f"<${least:f}"
    return f"{'-' if cost < 0 else ''}${abs(cost):,.{places}f}"


def _cut(text: str, width: int) -> str:
    """The text in so many columns; what names differ by stands at their ends."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[-end:]}"


def _notes(usage: dict[str, Any]) -> list[str]:
    """What else there is to know of the money, and who is paused."""
    held, unsettled, outside = (Decimal(usage[name]) for name in ("held", "unsettled", "outside"))
    estimated = sum((Decimal(row["estimated"]) for row in usage["data"]), Decimal(0))
    notes = []
    if held > unsettled:
        notes.append(f"{_exact(held - unsettled)} is set aside for calls under way.")
    if unsettled:
        notes.append(f"{_exact(unsettled)} is held until OpenRouter tells what some attempts cost (orgate reconcile).")
    if outside > 0:
        notes.append(f"{_exact(outside)} was spent on the account outside orgate.")
    elif outside < 0:
        notes.append(f"OpenRouter charged {_exact(-outside)} less than its answers said.")
    if estimated:
        notes.append(f"{_exact(estimated)} of the total is an estimate: OpenRouter never told.")
    return [*notes, *_paused(usage["paused"])]


def _paused(paused: list[str] | None) -> list[str]:
    if paused is None:
        told = "Who is paused cannot be read, so nobody may call. orgate resume lifts every pause."
    elif "*" in paused:
        told = "Every program is paused. orgate resume lets them call again."
    elif paused:
        told = f"Paused: {', '.join(paused)}. orgate resume lets them call again."
    else:
        return []
    return [click.style(told, fg="yellow")]


def _budgets(budgets: list[dict[str, Any]], now: datetime) -> str:
    rows = [("BUDGET", "", "", "", "")]
    for one in budgets:
        limit, spent, held = (Decimal(one[name]) for name in ("limit", "spent", "held"))
        part = float((spent + held) / limit) if limit else 1.0
        set_aside = f" + {money(float(held))} held" if held else ""
        used = f"{money(float(spent))}{set_aside} of {money(float(limit))}"
        rows.append((one["app"], one["period"], used, f"{bar(part, _BAR)} {part:>4.0%}", _renewal(one, now)))
    return table(rows)


def _renewal(budget: dict[str, Any], now: datetime) -> str:
    from app.core.forecast import about

    if budget["resets_at"] is None:
        return ""
    return f"new in {about((datetime.fromisoformat(budget['resets_at']) - now).total_seconds())}"


def _exact(amount: Decimal) -> str:
    return money(float(amount))
