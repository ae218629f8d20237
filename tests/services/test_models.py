from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.models import Models
from tests.services.fakes import FakeClock, MemoryCache, Recorder

ENTRIES = [{"id": f"maker/model-{number}", "pricing": {}} for number in range(400)]


class Source:
    """Gives the same catalogue every time."""

    def get(self, path: str, *, key: str | None) -> tuple[int, bytes]:
        return 200, json.dumps({"data": ENTRIES}).encode()


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take the interpreter from each other all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_known_from_the_first_call_on() -> None:
    """Of many calls that come at once with a new catalogue none takes a model that it lists for an unknown one."""
    with ThreadPoolExecutor(8) as calls:
        for _ in range(20):
            models = Models(
                upstream=Source(),
                cache=MemoryCache(),
                clock=FakeClock(),
                events=Recorder(),
                ttl_ms=60_000,
                only=(),
            )
            models.kept.get()
            found = calls.map(lambda _, models=models: models.entry_of("maker/model-7"), range(1000))
            assert None not in list(found)
