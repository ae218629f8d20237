"""How a batch shows how far it is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time

import click

from app.cli.batches.work import Tally
from app.cli.output import bar
from app.core.money import dollars

_LINE_EVERY_S = 10.0
_USUAL_COLUMNS = 80
_CLEAR = "\r\x1b[K"


class Progress:
    """Writes to standard error."""

    def __init__(self, begun_with: Tally) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._before = begun_with.done
        self._began = time.monotonic()
        self._last_line = self._began
        self._shown = ""

    def show(self, tally: Tally) -> None:
        """Show how far it is now; elsewhere than on a terminal only now and then."""
        now = time.monotonic()
        if self._is_terminal:
            text = line(tally, self._left_s(tally, now), _columns() - 1)
            if text != self._shown:
                click.echo(_CLEAR + text, err=True, nl=False)
                self._shown = text
        elif now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            click.echo(words(tally, self._left_s(tally, now)), err=True)

    def end(self) -> None:
        """Take the bar away, so that what follows begins a line."""
        if self._shown:
            click.echo(_CLEAR, err=True, nl=False)
            self._shown = ""

    def _left_s(self, tally: Tally, now: float) -> float | None:
        done = tally.done - self._before
        return (now - self._began) / done * (tally.total - tally.done) if done else None


def _columns() -> int:
    """Of the terminal that standard error goes to; standard output may go elsewhere."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS


def line(tally: Tally, left_s: float | None, width: int) -> str:
    """One line of at most `width` columns, with as long a bar as fits."""
    text = words(tally, left_s)
    room = min(width - len(text) - 1, 30)
    whole = f"{bar(tally.done / tally.total, room)} {text}" if room >= 5 else text
    return whole[: max(0, width)]


def words(tally: Tally, left_s: float | None) -> str:
    """The same in words."""
    parts = [f"{tally.done} of {tally.total}"]
    parts += [f"{tally.failed} failed"] if tally.failed else []
    parts += [f"{tally.uncertain} uncertain"] if tally.uncertain else []
    parts.append(f"${dollars(tally.spent)}")
    if left_s is not None and tally.done < tally.total:
        parts.append(f"{span(left_s)} left")
    return " · ".join(parts)


def span(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
