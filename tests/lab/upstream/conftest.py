"""One laboratory for all rows that leave no trace, and fresh ones for those that do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.sandbox.server import Sandbox
from app.services import answers, company
from tests.lab.upstream.lab import Lab, laboratory


@pytest.fixture(autouse=True)
def hasty_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that said its end, and nothing more, is closed sooner than in earnest."""
    monkeypatch.setattr(answers, "_LAST_WORDS_S", 0.3)


@pytest.fixture(name="company")
def frequent_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are held back for a moment only, and comments come often."""
    monkeypatch.setattr(company, "HOLD_S", 0.1)
    monkeypatch.setattr(company, "_KEEP_ALIVE_S", 0.1)


@pytest.fixture(scope="package")
def lab(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The shared laboratory: every test has models of its own, so that no breaker speaks to another test."""
    with laboratory(shared_sandbox, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def make_lab(shared_sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Starts laboratories with settings of the test's own."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(**settings: str) -> Lab:
            return stack.enter_context(laboratory(shared_sandbox, tmp_path / f"lab{next(count)}", **settings))

        yield start
