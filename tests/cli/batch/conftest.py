"""Batches against a gateway whose quota no test reaches, unless it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.batch.runs import Batches, batches
from tests.gateway import Gateway

QUIET = {"openrouter_background_refresh": "false", "log_level": "error"}


@pytest.fixture
def make_batches(make_gateway: Callable[..., Gateway], tmp_path: Path) -> Iterator[Callable[..., Batches]]:
    """Batches by the app's quota for chats and its other limits."""
    made: list[Batches] = []

    def make(rate: str = "100000 per minute", **grant: Any) -> Batches:
        gateway = make_gateway(**QUIET, orgate_rate_chat=rate)
        # As a gateway does that was started by its command: without prices holds are what unknown ones are.
        gateway.services.models.kept.get()
        made.append(batches(tmp_path, gateway, **grant))
        return made[-1]

    yield make
    for one in made:
        one.end()
