from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from app.workers.answering import answer
from app.workers.lines import Line, connected
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true
from tests.workers.served import CHAT, body


def test_parts_ahead_of_the_answer() -> None:
    """What an application writes before it returns its answer comes before the answer's parts, behind the same head."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/event-stream")])
        write(b": wait\n\n")
        return [environ["wsgi.input"].read()]

    line, other = connected()
    keeper = threading.Thread(target=answer, args=(application, Line(other.detach()), {}, b"data: 1\n\n"))
    keeper.start()
    told = [line.recv() for _ in range(4)]
    keeper.join(5)

    assert [("200 OK", [("Content-Type", "text/event-stream")]), b": wait\n\n", b"data: 1\n\n", None] == told


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_carrier_lost_as_the_answer_begins(make_gateway: Callable[..., Gateway], stream: bool) -> None:
    """A call whose carrier ends just when its answer is to begin is ended too: no hold of it stays open."""
    gateway = make_gateway()
    line, other = connected()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(*told: Any) -> Any:
            line.close()
            return start_response(*told)

        return gateway.app.wsgi_app(environ, start)

    headers = {"Authorization": f"Bearer {gateway.token()}", "Content-Type": "application/json"}
    environ = EnvironBuilder(CHAT, method="POST", headers=headers).get_environ()
    asked = json.dumps(body("sandbox/drip-20", stream=stream)).encode()
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    with suppress(OSError):
        answer(application, Line(other.detach()), {**told, "CONTENT_LENGTH": str(len(asked))}, asked)

    assert comes_true(lambda: not gateway.services.ledger.open())
