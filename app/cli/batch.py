"""`orgate batch`: many requests from a file, answered into another."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli import client, options
from app.cli.output import MISUSED, TAKEN, Failure
from app.core.money import nanos

if TYPE_CHECKING:
    from app.cli.batches.journal import Journal
    from app.cli.batches.work import Work
    from app.cli.client import Gateway
    from app.core.batch import Item

_LOOK_S = 0.2
_GRACE_S = 5.0
"""So long running calls may go on after Ctrl-C; their answers wait for the next run in any case."""

_STREAM = "-"


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option("--model", "-m", help="The model of lines that name none.")
@click.option("--concurrency", "-c", type=click.IntRange(1, 64), default=4, show_default=True, help="Calls at once.")
@click.option("--budget", metavar="$", help="Begin no call that could make the batch cost more than this.")
@click.option("--app", metavar="NAME", help="Spend as this program, under its limits.")
@click.option("--retry-uncertain", is_flag=True, help="Ask again what may have been carried out, and pay again.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
@click.option("--journal", type=click.Path(path_type=Path), help="Where to keep what is done so far.  [OUT.part]")
@client.url_option
@options.state_dir
@options.as_json
def command(
    source: str,
    target: str,
    model: str | None,
    concurrency: int,
    budget: str | None,
    app: str | None,
    retry_uncertain: bool,
    force: bool,
    journal: Path | None,
    url: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Answer every line of IN, and write the answers to OUT in the same order. "-" is standard input or output.

    A line is a text in quotes, {"prompt": …}, the body of a chat, or OpenAI's batch form
    {"custom_id": …, "method": "POST", "url": "/v1/chat/completions", "body": {…}}. OUT is in the form of OpenAI's batch
    output, with the cost of each line. All lines are checked before the first is sent. A line that fails does not stop
    the others; the quota is waited for.

    What is answered is kept in OUT.part until all is done. After Ctrl-C, a crash or the end of the budget the same
    command goes on where it was, and pays for nothing twice.

    \b
    Example:
      orgate batch questions.jsonl answers.jsonl --model openai/gpt-4o-mini --budget 2.50
      orgate batch - - --model qwen/qwen3-8b < questions.jsonl | jq .response.body.choices[0].message.content
    """
    from app.cli.batches.result import finish
    from app.cli.batches.speaking import speaking_as

    if as_json and target == _STREAM:
        raise click.UsageError("--json prints a summary where the answers go; name a file for OUT.")
    limit = _limit(budget)
    items = _items(source, model)
    place = journal or Path("batch.part" if target == _STREAM else f"{target}.part")
    if target != _STREAM and Path(target).exists() and not place.exists() and not force:
        raise Failure(f"{target} exists already. Name another output, or overwrite it with --force.", MISUSED)
    with _taken_up(place, items) as book:
        todo = _todo(book, retry_uncertain, place)
        with speaking_as(client.running(state_dir, url), app) as gateway:
            work = _work(items, book, todo, limit, gateway)
            if todo:
                _carry_out(work, min(concurrency, len(todo)))
        finish(work, book, target, place, as_json)


def _limit(budget: str | None) -> int | None:
    if budget is None:
        return None
    limit = nanos(budget.removeprefix("$"))
    if limit is None or limit <= 0:
        raise Failure("--budget takes dollars, such as 2.50.", MISUSED)
    return limit


def _items(source: str, model: str | None) -> list[Item]:
    from app.core import batch

    data = sys.stdin.buffer.read() if source == _STREAM else Path(source).read_bytes()
    # A newline ends a line; what follows the last one is a line only if there is something.
    lines = data.removesuffix(b"\n").split(b"\n") if data.strip() else []
    if not lines:
        raise Failure("There is no line to answer.", MISUSED)
    try:
        return batch.read(lines, model)
    except batch.BadLine as error:
        name = "standard input" if source == _STREAM else source
        raise Failure(f"{name}: {error} Nothing was sent.", MISUSED) from None


@contextmanager
def _taken_up(place: Path, items: list[Item]) -> Iterator[Journal]:
    """The batch's journal, for this process alone."""
    from app.adapters.statefiles import AlreadyLocked, locked
    from app.cli.batches.journal import Journal, Unusable

    lock = place.with_name(f"{place.name}.lock")
    try:
        with locked(lock, wait=False):
            book = Journal(place, items)
            try:
                yield book
            finally:
                book.close()
                if book.is_untouched:
                    place.unlink(missing_ok=True)
                with suppress(OSError):
                    lock.unlink()
    except AlreadyLocked:
        raise Failure(f"Another orgate batch is working on {place}.", TAKEN) from None
    except Unusable as error:
        raise Failure(str(error), MISUSED) from None


def _todo(book: Journal, retry_uncertain: bool, place: Path) -> list[int]:
    """The lines to send: first those that were under way, since their answers wait in the gateway's memory."""
    lines = list(enumerate(book.lines))
    uncertain = [number for number, line in lines if line.is_uncertain]
    missing = [number for number, line in lines if line.place is None]
    if book.is_taken_up:
        done = len(lines) - len(missing)
        click.echo(f"Going on with {place}: {done} of {len(lines)} done.", err=True)
    order = sorted(missing, key=lambda number: not book.lines[number].is_open)
    return order + uncertain if retry_uncertain else order


def _work(items: list[Item], book: Journal, todo: list[int], limit: int | None, gateway: Gateway) -> Work:
    from app.cli.batches.purse import Prices, Purse
    from app.cli.batches.sending import Sender
    from app.cli.batches.work import Work

    purse = Purse(limit, sum(line.counted for line in book.lines))
    most_of: Callable[[Item], int | None] = lambda _: None  # noqa: E731 one of two
    if limit is not None and todo:
        most_of = Prices(gateway.get("/api/openrouter/models")["data"]).most
        unpriced = sum(most_of(items[number]) is None for number in todo)
        if unpriced:
            click.echo(
                f"The price of {unpriced} lines is not known beforehand: they go one at a time, and the last of them "
                "may exceed the budget.",
                err=True,
            )
    return Work(items, book, Sender(gateway), purse, most_of, todo)


def _carry_out(work: Work, concurrency: int) -> None:
    from app.cli.batches.progress import Progress

    asked: list[int] = []
    progress = Progress(work.tally())

    def on_signal(sign: int, _: Any) -> None:  # signal's own signature
        asked.append(sign)
        work.stop("Stopped.")

    before = {sign: signal.signal(sign, on_signal) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        work.start(concurrency)
        waited_s = 0.0
        while not work.wait(_LOOK_S):
            progress.show(work.tally())
            waited_s += _LOOK_S if asked else 0.0
            if len(asked) > 1 or waited_s > _GRACE_S:
                break
    finally:
        progress.end()
        for sign, handler in before.items():
            signal.signal(sign, handler)
