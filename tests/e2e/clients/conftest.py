"""Real programs, installed side by side before the first of them is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.clients.programs import npm_packages, python_packages
from tests.e2e.node_runner import Missing


@pytest.fixture(scope="session")
def installing() -> Iterator[dict[str, Future[Path]]]:
    """The installations that are under way, by name."""
    jobs: dict[str, Callable[[], Path]] = {"python": python_packages, "js": partial(npm_packages, "js")}
    with ThreadPoolExecutor(len(jobs)) as pool:
        yield {name: pool.submit(job) for name, job in jobs.items()}


@pytest.fixture(scope="session")
def python_clients(installing: dict[str, Future[Path]]) -> Path:
    """The folder with the Python clients."""
    return _had(installing["python"].result)


@pytest.fixture(scope="session")
def js_clients(installing: dict[str, Future[Path]]) -> Path:
    """The folder with the JavaScript clients, Claude Code and Codex among them."""
    return _had(installing["js"].result)


@pytest.fixture(scope="session")
def librechat_agents() -> Path:
    """The folder with LibreChat's agents package."""
    return _had(partial(npm_packages, "librechat"))


def _had(get: Callable[[], Path]) -> Path:
    try:
        return get()
    except Missing as missing:
        if missing.is_required:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
