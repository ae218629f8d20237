"""`orgate models`: the catalogue in the terminal."""

from __future__ import annotations

from typing import Any

import click

from app.cli import client, options
from app.cli.output import emit, table


@click.command()
@click.argument("search", default="")
@click.option("--provider", metavar="AUTHOR", help="Only this author's, such as openai.")
@click.option("--modality", help="Only those that take or give it, such as image.")
@click.option("--supports", metavar="PARAMETER", help="Only those with this parameter, such as tools.")
@click.option("--max-price", metavar="DOLLARS", help="At most so much per million tokens.")
@click.option("--sort", type=click.Choice(["price", "context", "newest"]), help="Cheapest, longest or newest first.")
@click.option("--force", is_flag=True, help="Fetch the catalogue now.")
@client.url_option
@options.state_dir
@options.as_json
def command(
    search: str,
    provider: str | None,
    modality: str | None,
    supports: str | None,
    max_price: str | None,
    sort: str | None,
    force: bool,
    url: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """List the models that match SEARCH, as the running gateway knows them.

    \b
    Example:
      orgate models claude --supports tools --sort price
    """
    wanted = {
        "q": search,
        "provider": provider,
        "modality": modality,
        "supported_parameters": supports,
        "max_price": max_price,
        "sort": sort,
        "force": "true" if force else None,
    }
    query = {name: value for name, value in wanted.items() if value}
    models = client.running(state_dir, url).get("/api/openrouter/models", **query)["data"]
    if as_json:
        emit(models)
        return
    rows = [("MODEL", "CONTEXT", "$/M IN", "$/M OUT"), *map(_row, models)]
    click.echo(table(rows, right=frozenset({1, 2, 3})))
    click.echo(f"{len(models)} model{'' if len(models) == 1 else 's'}", err=True)


def _row(model: dict[str, Any]) -> tuple[str, str, str, str]:
    pricing, context = model.get("pricing") or {}, model.get("context_length")
    size = f"{context / 1000:.0f}k" if context else "?"
    return model["id"], size, _per_million(pricing.get("prompt")), _per_million(pricing.get("completion"))


def _per_million(price: str | None) -> str:
    from decimal import Decimal, InvalidOperation

    try:
        amount = Decimal(price or "-1") * 1_000_000
    except InvalidOperation:
        return "?"
    if amount < 0:
        return "varies"
    return "free" if amount == 0 else f"{amount:.3f}".rstrip("0").rstrip(".")
