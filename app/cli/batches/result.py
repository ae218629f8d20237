"""How a run of a batch ends: its output, what is said of it, and its exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli.batches.journal import Journal
from app.cli.batches.progress import words
from app.cli.batches.work import Tally, Work
from app.cli.output import FAILED, emit
from app.core.money import dollars

STREAM = "-"
"""Stands for standard input or output where a file is named."""


def finish(work: Work, book: Journal, target: str, place: Path, as_json: bool) -> None:
    """Write the output if every line has one, say how it went, and end the command with its exit code."""
    tally = work.tally()
    is_whole = tally.done == tally.total
    if is_whole and target == STREAM:
        sys.stdout.buffer.writelines(book.outputs())
        sys.stdout.flush()
    elif is_whole:
        _replace(Path(target), book)
    if is_whole and not tally.uncertain:
        place.unlink()
    if as_json:
        emit(_summary(tally, work))
    _tell(tally, work, target, place)
    if work.stopped_for is not None:
        raise click.exceptions.Exit(work.stopped_for[1])
    if tally.failed or tally.uncertain:
        raise click.exceptions.Exit(FAILED)


def _replace(path: Path, book: Journal) -> None:
    """Write the output whole or not at all."""
    draft = path.with_name(f".{path.name}.{book.id}")
    try:
        with draft.open("wb") as file:
            file.writelines(book.outputs())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _summary(tally: Tally, work: Work) -> dict[str, object]:
    return {
        "total": tally.total,
        "done": tally.done,
        "failed": tally.failed,
        "uncertain": tally.uncertain,
        "cost": dollars(tally.spent),
        "stopped": work.stopped_for[0] if work.stopped_for else None,
    }


def _tell(tally: Tally, work: Work, target: str, place: Path) -> None:
    why = f"{work.stopped_for[0]} " if work.stopped_for else ""
    click.echo(f"{why}{words(tally, None)}", err=True)
    if tally.done < tally.total:
        click.echo(f"What is done is kept in {place}. The same command goes on from here.", err=True)
    elif tally.uncertain:
        click.echo(
            f"Whether {tally.uncertain} lines were carried out is not known. The same command with --retry-uncertain "
            "sends them again, which may pay for them twice.",
            err=True,
        )
