"""Addresses and packages for the tests with real client libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.addresses import MOUNTS
from tests.e2e.node_runner import Missing, Node, prepared


@pytest.fixture(params=MOUNTS, ids=lambda mount: mount.strip("/").replace("/", "-"))
def mount(request: pytest.FixtureRequest) -> str:
    """Each address that the gateway answers at."""
    return str(request.param)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Node with the packages of tests/e2e/node; where it is missing tests are skipped, or fail if it is required."""
    try:
        return prepared(Path(tmp_path_factory.mktemp("node")))
    except Missing as missing:
        if missing.is_required:
            pytest.fail(str(missing))
        pytest.skip(str(missing))
