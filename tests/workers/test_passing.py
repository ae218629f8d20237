from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from app.workers.answering import answer
from app.workers.lines import Line, connected


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
