"""`python -m tests.bench`: the whole benchmark by one command."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tests.bench import machine
from tests.bench.candidates import OURS, PEERS
from tests.bench.candidates.base import Candidate
from tests.bench.candidates.orgate import Orgate
from tests.bench.cells import CELLS
from tests.bench.native import NoCompiler, build
from tests.bench.processes import NotStarted
from tests.bench.runner import Bench
from tests.bench.table import as_json, render

_REPEATS = 5


@click.command()
@click.option("--quick", is_flag=True, help="A look at whether all works, in seconds; its figures mean little.")
@click.option("--cells", default=",".join(CELLS), show_default=True, help="What to measure, by commas.")
@click.option("--peers", default="all", show_default=True, help="Whom to compare with, by commas; all, or none.")
@click.option(
    "--prefix",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path.home() / ".cache/orgate-bench",
    show_default=True,
    help="Where peers are installed; without one it says how.",
)
@click.option("--repeats", type=click.IntRange(1, 50), default=_REPEATS, show_default=True, help="Rounds of each cell.")
@click.option("--serve", "serves", multiple=True, metavar="WORDS", help="Another orgate, with these words for `serve`.")
@click.option("--json", "place", type=click.Path(dir_okay=False, path_type=Path), help="Write every sample there.")
def main(
    quick: bool, cells: str, peers: str, prefix: Path, repeats: int, serves: tuple[str, ...], place: Path | None
) -> None:
    """Measure the gateway beside others on this machine, and print one table.

    Everything is on loopback, and ends with this command. All candidates take turns in each repeat; the table has
    medians and, in brackets, the least and the greatest. It needs Linux and a C compiler. A full run takes half an
    hour.

    \b
    Example:
      python -m tests.bench --quick
      python -m tests.bench --cells plain,stream --peers nginx,LiteLLM --json figures.json
      python -m tests.bench --serve "--workers 2"
    """
    chosen = _chosen(cells, dict(CELLS), "cell")
    others = {peer.name.lower(): peer for peer in PEERS}
    wanted = list(PEERS) if peers == "all" else [] if peers == "none" else _chosen(peers.lower(), others, "peer")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="orgate-bench-") as scratch:
        try:
            native = build(Path(scratch) / "native")
        except NoCompiler as error:
            raise click.ClickException(str(error)) from None
        candidates: list[Candidate] = [*OURS, *(Orgate(tuple(shlex.split(words))) for words in serves)]
        for peer in wanted:
            missing = peer.missing(prefix.absolute())
            if missing:
                _say(f"{peer.name}: left out, it is not installed ({missing})")
            else:
                candidates.append(peer)
        conditions: dict[str, Any] = {**machine.described(), "repeats": repeats, "quick": quick}
        with Bench(native, Path(scratch), prefix.absolute(), candidates, repeats, quick, _say) as bench:
            for measure in chosen:
                name = next(name for name, cell in CELLS.items() if cell is measure)
                with bench.watched(name):
                    _measure(name, measure, bench)
        conditions["others"] = bench.foreign
        _tell(bench, conditions)
        if place:
            place.write_text(json.dumps(as_json(bench.results, conditions), indent=1) + "\n")


def _measure(name: str, measure: Callable[[Bench], None], bench: Bench) -> None:
    """One cell; when it fails, the others are measured all the same."""
    try:
        measure(bench)
    except (NotStarted, OSError, subprocess.SubprocessError) as error:
        bench.results.trouble(f"{name} ended early: {error}")


def _chosen(text: str, known: dict[str, Any], what: str) -> list[Any]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise click.UsageError(f"There is no {what} {name!r}; there are: {', '.join(known)}")
    return [known[name] for name in names]


def _tell(bench: Bench, conditions: dict[str, Any]) -> None:
    click.echo(render(bench.results))
    click.echo(
        f"\nMedians of {conditions['repeats']} repeats (least–greatest); {conditions['at']}, "
        f"{conditions['cores']} cores of {conditions['processor']}, Python {conditions['python']}; "
        f"load before the run {conditions['load'][0]}."
    )
    used = ", ".join(f"{name} {share:.0%}" for name, share in bench.foreign.items())
    click.echo(f"Others used of the machine meanwhile: {used}.")
    for trouble in bench.results.troubles:
        click.echo(f"! {trouble}")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
