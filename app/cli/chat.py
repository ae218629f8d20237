"""`orgate chat`: ask a model from the terminal."""

from __future__ import annotations

import sys
from typing import Any

import click

from app.cli import client, options
from app.cli.output import emit, money

_PATH = "/api/openrouter/chat/completions"


@click.command()
@click.argument("text", nargs=-1)
@click.option("--model", "-m", default="openrouter/auto", show_default=True, help="The model to ask.")
@click.option("--system", "-s", help="What the model is told first.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer.")
@client.url_option
@options.state_dir
@options.as_json
def command(
    text: tuple[str, ...],
    model: str,
    system: str | None,
    max_tokens: int | None,
    url: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Ask, and see the answer stream in. Without TEXT, or with "-", the question comes from standard input.

    \b
    Example:
      orgate chat "Explain quantum computing in one sentence."
      git diff | orgate chat -s "Review this change."
      orgate chat --json "Hello" | jq .usage

    With --json the whole answer is printed as one object, as the gateway gave it. What the answer cost is told on
    standard error.
    """
    asked = " ".join(text)
    if asked in ("", "-"):
        asked = sys.stdin.read()
    if not asked.strip():
        raise click.UsageError("There is nothing to ask; give a text.")
    messages = [{"role": "user", "content": asked}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    if max_tokens:
        body["max_tokens"] = max_tokens
    gateway = client.running(state_dir, url)
    if as_json:
        emit(gateway.post(_PATH, body))
        return
    last = _print_stream(gateway.stream(_PATH, body))
    click.echo()
    click.echo(click.style(_summary(last), dim=True), err=True)


def _print_stream(events: Any) -> dict[str, Any]:
    """Print the text as it comes; what the last events say of model, provider and usage is returned."""
    told: dict[str, Any] = {}
    for event in events:
        told.update({name: event[name] for name in ("model", "provider", "usage") if event.get(name)})
        for choice in event.get("choices") or ():
            click.echo((choice.get("delta") or {}).get("content") or "", nl=False)
        sys.stdout.flush()
    return told


def _summary(told: dict[str, Any]) -> str:
    usage = told.get("usage") or {}
    tokens = f"{usage.get('prompt_tokens', '?')} + {usage.get('completion_tokens', '?')} tokens"
    return f"{told.get('model', '?')} · {told.get('provider', '?')} · {tokens} · {money(usage.get('cost'))}"
