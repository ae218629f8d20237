"""The system gives no more threads."""

from __future__ import annotations

import threading

import pytest
import requests

from tests.gateway import Gateway
from tests.lab.client.lab import comes_true


@pytest.mark.parametrize("name", ["orgate-watch", "orgate-pump", "orgate-ledger", "orgate-settler"])
def test_no_thread(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A call that comes while no thread can be had leaves nothing over, and the next one finds all as it should be."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == name:
            raise RuntimeError("can't start new thread")
        start(thread)

    model = "sandbox/no-usage" if name == "orgate-settler" else "sandbox/drip-20"
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        try:
            gateway.chat(model, stream=True).content  # noqa: B018
        except requests.exceptions.ChunkedEncodingError:
            # The answer had begun.
            assert "orgate-pump" == name

    assert comes_true(lambda: gateway.services.slots.taken == 0)
    assert 0 == gateway.services.relay.end_running("tester")
    assert gateway.chat(model, stream=True).content.endswith(b"data: [DONE]\n\n")
    assert comes_true(lambda: not gateway.services.ledger.open())
