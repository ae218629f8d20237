"""A clean environment for every test, one sandbox for all of them, and gateways on real sockets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.sandbox.server import Sandbox
from tests.gateway import Gateway, running_gateway
from tests.upstream import ScriptedUpstream, scripted_upstream

_OURS = ("OPENROUTER_", "ORGATE_", "DEBUG", "LOG_LEVEL")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's owner reaches a test, and no test writes into their home."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(home)


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the whole run."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """The sandbox as new: empty log and bill, the account as at its start."""
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def make_gateway(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways with settings of the test's own."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(**settings: str) -> Gateway:
            return stack.enter_context(running_gateway(sandbox, tmp_path / f"state{next(count)}", **settings))

        yield start


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with the default settings, except that nothing is fetched ahead of need."""
    return make_gateway(openrouter_background_refresh="false")


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """An upstream that answers what the test tells it to."""
    with scripted_upstream() as script:
        yield script
