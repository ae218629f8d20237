from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable

import pytest

from app.cli.batches.progress import line, span, words
from app.cli.batches.work import Tally
from tests.cli.batch.runs import MODEL, Batches, prompts, write
from tests.cli.processes import ORGATE

_TALLY = Tally(total=500, done=250, failed=3, uncertain=1, spent=41_200_000)


def test_words() -> None:
    """How many are done, failed and uncertain, the cost so far and the time left."""
    assert "250 of 500 · 3 failed · 1 uncertain · $0.0412 · 4 min left" == words(_TALLY, 240)
    assert "0 of 5 · $0" == words(Tally(5, 0, 0, 0, 0), None)


@pytest.mark.parametrize("width", [10, 40, 65, 79, 200])
def test_line_fits(width: int) -> None:
    """The line never wraps, and the bar is half full at half."""
    text = line(_TALLY, 240, width)

    assert len(text) <= width
    assert abs(text.count("█") - text.count("░")) <= 1
    assert ("█" in text) == (width >= 65)


@pytest.mark.parametrize(("seconds", "told"), [(0.2, "1 s"), (89, "89 s"), (150, "2 min"), (7300, "2 h 2 min")])
def test_span(seconds: float, told: str) -> None:
    """Lengths of time as people say them."""
    assert told == span(seconds)


def test_on_a_terminal(make_batches: Callable[..., Batches]) -> None:
    """On a terminal one line is drawn again and again, within its width, and the result stands at the end."""
    made = make_batches("10 per second")
    write(made.source, prompts(30))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    process = subprocess.Popen(
        [ORGATE, "batch", "in.jsonl", "out.jsonl", "--model", MODEL],
        cwd=made.folder,
        env={**os.environ, **made.environment},
        stdin=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    drawn = b""
    # Linux tells the end of the other side by an error.
    try:
        while data := os.read(ours, 65536):
            drawn += data
    except OSError:
        pass
    os.close(ours)

    text = drawn.decode()
    frames = text.split("\r\x1b[K")
    assert 0 == process.wait(20)
    assert 2 < len(frames)
    assert all(len(frame) < 60 for frame in frames)
    assert re.search(r"█+░+ \d+ of 30 · \$0\.\d+ · \d+ s left", text)
    assert re.fullmatch(r"30 of 30 · \$0\.\d+\r\n", frames[-1])
