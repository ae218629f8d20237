"""A client on a bare socket that sees each event of a stream when it arrives."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any, Self

from tests.gateway import API, Gateway


class RawStream:
    """One streamed chat; iterating gives its events, comments too, each as soon as its last byte is here."""

    def __init__(self, gateway: Gateway, token: str, model: str, **more: Any) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": True, **more}
        data = json.dumps(body).encode()
        head = (
            f"POST {API}/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        self._socket.sendall(head.encode() + data)

    def __iter__(self) -> Iterator[bytes]:
        response = http.client.HTTPResponse(self._socket, method="POST")
        response.begin()
        assert (200, "text/event-stream") == (response.status, response.headers.get_content_type())
        rest = b""
        with response:
            while data := response.read1():
                *events, rest = (rest + data).split(b"\n\n")
                yield from events
        assert not rest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
