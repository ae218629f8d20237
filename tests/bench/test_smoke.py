"""The benchmark runs: nothing here asserts how fast anything is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def _bench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", "--peers", "none", *words],
        cwd=_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("cc") or not shutil.which("make"), reason="needs a C compiler and make")
def test_quick_run(tmp_path: Path) -> None:
    """A quick run measures plain and streamed calls of the gateway, and all calls are answered."""
    place = tmp_path / "figures.json"

    done = _bench("--quick", "--repeats", "1", "--cells", "plain,stream", "--json", str(place))

    assert 0 == done.returncode, done.stderr
    told = json.loads(place.read_text())
    assert [] == told["troubles"]
    assert {"plain", "stream"} == {figure["cell"] for figure in told["figures"]}
    assert all("orgate" in figure["candidates"] for figure in told["figures"])
    assert "| orgate" in done.stdout


def test_without_a_compiler() -> None:
    """Without a C compiler it says what to install, and starts nothing."""
    done = _bench("--quick", CC="no-such-compiler")

    assert 1 == done.returncode
    assert "no-such-compiler cannot be found" in done.stderr
    assert "apt install gcc" in done.stderr


def test_strange_cell() -> None:
    """A cell that does not exist is told, with those that do."""
    done = _bench("--cells", "plane")

    assert 2 == done.returncode
    assert "There is no cell 'plane'" in done.stderr
    assert "plain" in done.stderr
