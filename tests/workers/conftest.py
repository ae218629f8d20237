from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.sandbox import Sandbox
from tests.workers.served import Crowd, crowd

# Which process does what is read from where Linux tells it.
collect_ignore_glob = [] if Path("/proc/self/fd").exists() else ["test_*.py"]


@pytest.fixture
def make_crowd(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Crowd]]:
    """Starts gateways of two processes with settings of the test's own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(crowd(sandbox, tmp_path / "state", **settings))


@pytest.fixture
def gateway(make_crowd: Callable[..., Crowd]) -> Crowd:
    """A gateway of two processes, as it is by default."""
    return make_crowd()
