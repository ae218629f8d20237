from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.processes import NotStarted, Program, free_port, start, wait_for_port

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")

_FAMILY = """
import socket, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
child.wait()
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Program]:
    """A program with a child, from the moment it listens."""
    port = free_port()
    program = start([sys.executable, "-c", _FAMILY, str(port)], tmp_path)
    wait_for_port(program, port, 20)
    yield program
    program.stop()


def test_children_are_known(family: Program) -> None:
    """A program's children count as its own, with their processor time and memory; other processes do not."""
    assert 2 == len(family.pids())
    assert family.cpu_s() > 0
    assert family.memory_mb() > 1


def test_stop(family: Program) -> None:
    """Stopping a program ends its children, too."""
    family.stop()

    assert [] == family.pids()


def test_program_that_ends(tmp_path: Path) -> None:
    """A program that ends before it listens is told with what it said last."""
    program = start([sys.executable, "-c", "raise SystemExit('no port left')"], tmp_path)

    with pytest.raises(NotStarted, match="no port left"):
        wait_for_port(program, free_port(), 20)
