"""A desktop for each test, and programs on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.tray.desktop.desktop import Desktop, lacking, running_desktop, screen
from tests.tray.desktop.probes import Probe, running_probe

# Read before the settings of the machine's owner are taken out of each test's environment.
_REQUIRED = os.environ.get("ORGATE_DESKTOP_TESTS") == "1"


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """One X display for all tests."""
    if reason := lacking():
        assert not _REQUIRED, reason
        pytest.skip(reason)
    with screen() as name:
        yield name


@pytest.fixture
def desktop(display: str, tmp_path: Path) -> Iterator[Desktop]:
    """A desktop with a panel and a notification daemon, new for each test."""
    with running_desktop(display, tmp_path / "desktop") as running:
        yield running


@pytest.fixture
def start_probe(desktop: Desktop) -> Iterator[Callable[..., Probe]]:
    """Starts the small tray program of these tests; environment variables by name, None to take one away."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running_probe(desktop, changes))
