"""One gateway per file of tests, in front of a sandbox of its own, and a look round after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.sandbox.server import Sandbox
from tests.gateway import Gateway, running_gateway
from tests.lab.client.lab import Lab


@pytest.fixture(scope="module")
def module_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose quota no test of the file reaches."""
    with (
        Sandbox(interval_s=0.001) as sandbox,
        running_gateway(
            sandbox,
            tmp_path_factory.mktemp("lab"),
            openrouter_background_refresh="false",
            orgate_rate_chat="1000000 per minute",
        ) as gateway,
    ):
        yield gateway


@pytest.fixture
def lab(module_gateway: Gateway) -> Iterator[Lab]:
    """The laboratory with an empty log; after the test nothing of it may be left."""
    module_gateway.sandbox.reset()
    lab = Lab(module_gateway, module_gateway.sandbox)
    lab.forget_failures()
    yield lab
    lab.check_nothing_left()


@pytest.fixture
def make_lab(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Laboratories by the quota that an app has for its chats, and other settings."""
    with ExitStack() as stack:
        labs: list[Lab] = []

        def make(rate: str = "1000000 per minute", **settings: str) -> Lab:
            given = {"openrouter_background_refresh": "false", "orgate_rate_chat": rate, **settings}
            gateway = stack.enter_context(running_gateway(sandbox, tmp_path / f"lab{len(labs)}", **given))
            labs.append(Lab(gateway, sandbox))
            return labs[-1]

        yield make
        for lab in labs:
            lab.check_nothing_left()
