"""`orgate doctor`: look at everything, end in one line that says what to do first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import options
from app.cli.client import TOKEN, running_at
from app.cli.output import FAILED, emit, table

if TYPE_CHECKING:
    from app.cli.checks import Finding
    from app.settings import Settings

_MARKS = {"ok": ("✓", "green"), "hint": ("!", "yellow"), "bad": ("✗", "red"), "skipped": ("·", "white")}


@click.command()
@click.option("--paid", is_flag=True, help="Measure streaming with a paid model where no free one is listed.")
@click.option("--no-call", is_flag=True, help="Make no call at all; streaming is then not measured.")
@options.state_dir
@options.as_json
@click.pass_context
def command(ctx: click.Context, paid: bool, no_call: bool, state_dir: str | None, as_json: bool) -> None:
    """Check the settings, the key, the files, the port, OpenRouter and the running gateway.

    Streaming is measured with one short call through the running gateway, to a free model.

    \b
    Example:
      orgate doctor
    """
    settings, folder, here = running_at(options.settings(orgate_state_dir=state_dir))
    findings = _examine(settings, folder, here, paid=paid, no_call=no_call)
    bad = [finding for finding in findings if finding.state == "bad"]
    verdict = f"first: {bad[0].fix or bad[0].told}" if bad else "healthy"
    if as_json:
        emit(
            {
                "healthy": not bad,
                "verdict": verdict,
                "checks": [vars(finding) for finding in findings],
                "settings": {name: {"value": value, "origin": origin} for name, value, origin in _values(settings)},
            }
        )
    else:
        click.echo(table([("SETTING", "VALUE", "FROM"), *_values(settings)]))
        click.echo()
        for finding in findings:
            click.echo(_line(finding))
        click.echo(click.style(verdict, bold=True))
    ctx.exit(FAILED if bad else 0)


def _examine(
    settings: Settings, folder: Path, here: dict[str, Any] | None, *, paid: bool, no_call: bool
) -> list[Finding]:
    from app.bootstrap.openrouter import upstream_of
    from app.cli.checks import SKIPPED, Finding, local, openrouter, through

    found_key, key = local.check_key(settings)
    findings = [found_key, local.check_files(settings), local.check_port(settings, here)]
    token = (folder / TOKEN).read_text().strip() if here is not None else ""
    ledger = through.ledger_state(here["base_url"], token) if here is not None else None
    findings += [local.check_ledger(settings, ledger), local.check_pauses(settings)]
    upstream = upstream_of(settings)
    network, catalogue, models = openrouter.check_models(upstream, settings.base_url)
    findings += [network, catalogue, local.check_agents(settings, models)]
    if key is not None and network.state == "ok":
        findings += openrouter.check_credits(upstream, key, settings.management_key)
    if here is None:
        return [*findings, Finding("gateway", SKIPPED, "not running: health, quotas and streaming were not looked at")]
    findings.append(through.check_health(here["base_url"], token))
    if not no_call:
        findings += through.check_streaming(here["base_url"], token, models, paid=paid)
    return findings


def _values(settings: Settings) -> list[tuple[str, str, str]]:
    from app.bootstrap.state import key_store
    from app.settings import OPTIONS

    rows = [(option.name, settings.shown(option.name), settings.origin(option.name)) for option in OPTIONS]
    kept = key_store(settings)
    if settings.api_key is None and kept.file.exists():
        rows[0] = (rows[0][0], "(not shown)", kept.place)
    return rows


def _line(finding: Finding) -> str:
    mark, colour = _MARKS[finding.state]
    fix = f"\n  → {finding.fix}" if finding.fix and finding.state != "ok" else ""
    return f"{click.style(mark, fg=colour)} {finding.check}: {finding.told}{fix}"
