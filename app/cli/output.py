"""How commands speak: text for people, JSON for programs, an exit code for both."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

FAILED = 1
MISUSED = 2
NOT_RUNNING = 3
TAKEN = 4
EXIT_CODES = """
\b
Exit codes:
  0  done
  1  OpenRouter or the gateway refused, or a check failed
  2  wrong usage or an unusable setting
  3  no gateway is running
  4  the port or the state folder is taken
"""


class Failure(click.ClickException):
    """Ends a command with one message on standard error and an exit code of ours."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = code  # click declares it on the class

    def show(self, file: Any = None) -> None:  # click's own signature
        """Write the message, without click's "Error:" where it is a sentence of its own."""
        click.echo(self.message, err=True, file=file)


def emit(value: object) -> None:
    """One line of JSON on standard output, at once."""
    click.echo(json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """The rows in columns; those in `right` are flush right. The first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        lines.append(click.style(line, bold=True) if number == 0 else line)
    return "\n".join(lines)


def bar(part: float, width: int = 24) -> str:
    """A bar that is filled by this part, 0 to 1."""
    filled = round(min(max(part, 0.0), 1.0) * width)
    return "█" * filled + "░" * (width - filled)


def plain(text: str) -> str:
    """The text without what would steer the terminal; programs choose some of the names that are shown."""
    return "".join(character if character.isprintable() else "?" for character in text)


def size(count: int) -> str:
    """Bytes for people."""
    for unit, name in ((2**30, "GB"), (2**20, "MB"), (2**10, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def moment(text: str) -> str:
    """A moment of the gateway's answers, in UTC and to the minute."""
    return f"{text[:10]} {text[11:16]}"


def money(amount: float | None) -> str:
    """Dollars for people; None is unknown and says so."""
    if amount is None:
        return "unknown"
    cents = abs(amount) >= 0.01 or amount == 0
    text = f"{abs(amount):,.2f}" if cents else f"{abs(amount):.9f}".rstrip("0")
    return f"{'-' if amount < 0 else ''}${text}"
