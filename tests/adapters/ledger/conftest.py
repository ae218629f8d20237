"""A ledger on a real file, with time that only moves when a test moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.adapters.ledger import SqlLedger
from tests.adapters.ledger.ledgers import opened
from tests.services.fakes import FakeClock, Recorder


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> Recorder:
    return Recorder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is; the folder's name has everything that a URI takes for its own."""
    folder = tmp_path / "state ?#%41 é"
    folder.mkdir()
    return folder / "ledger.db"


@pytest.fixture
def reopen(path: Path, clock: FakeClock, events: Recorder) -> Iterator[Callable[[], SqlLedger]]:
    """Opens the ledger, as many times as a test restarts; all are stopped in the end."""
    with ExitStack() as stack:

        def start() -> SqlLedger:
            ledger = opened(path, clock, events)
            stack.callback(ledger.stop)
            return ledger

        yield start


@pytest.fixture
def ledger(reopen: Callable[[], SqlLedger]) -> SqlLedger:
    return reopen()
