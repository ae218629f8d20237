"""`orgate explain`: the story of a call."""

from __future__ import annotations

from typing import Any

import click

from app.cli import client, options
from app.cli.output import emit, table


@click.command()
@click.argument("call_id")
@client.url_option
@options.state_dir
@options.as_json
def command(call_id: str, url: str | None, state_dir: str | None, as_json: bool) -> None:
    """Tell what became of a call: every attempt, why it failed, how long it took.

    The id is in the answer's x-orgate-call-id header and in the log. A gateway remembers its last 2000 calls.

    \b
    Example:
      orgate explain call_0123456789abcdef01234567
    """
    story = client.running(state_dir, url).get(f"/api/openrouter/calls/{call_id}")
    if as_json:
        emit(story)
    else:
        click.echo("\n".join(_lines(story)))


def _lines(story: dict[str, Any]) -> list[str]:
    cost = "cost unknown" if story["cost"] is None else f"${story['cost']}"
    by = f" by {story['served_model']} ({story['provider'] or 'provider unknown'})" if story["served_model"] else ""
    rows = [("", "MODEL", "STATUS", "REASON", "SECONDS")]
    for number, attempt in enumerate(story["attempts"], 1):
        reason = attempt["reason"] if attempt["sent"] else f"{attempt['reason']}, not sent"
        rows.append((str(number), attempt["model"], str(attempt["status"]), reason, f"{attempt['seconds']:.3f}"))
    through = f" through agent/{story['agent']}" if story.get("agent") else ""
    who = f"{story['call_id']} of {story['app']}{through}"
    head = f"{who}: {story['outcome']}{by} after {story['duration_s']:.3f} s, {cost}"
    return [
        head,
        *_recall(story),
        table(rows, right=frozenset({0, 2, 4})) if story["attempts"] else "Nothing was sent.",
    ]


def _recall(story: dict[str, Any]) -> list[str]:
    """What the cache of answers had, for a call that asked for it."""
    match story.get("cache"):
        case "hit":
            return [f"The answer is {story['cache_age_s']:.0f} s old and came from the cache (X-Orgate-Cache)."]
        case "miss":
            return ["The cache had no such answer."]
        case "bypass":
            return ["The cache is not used for calls with tools, images, files or sound."]
    return []
