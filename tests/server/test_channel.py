from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.server.serving import serving

CHAT = "/v1/chat/completions"


def _post(connection: http.client.HTTPConnection, token: str, **headers: str) -> http.client.HTTPResponse:
    body = {"model": "sandbox/ok", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    told = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
    connection.request("POST", CHAT, json.dumps(body), told)
    return connection.getresponse()


def test_used_again_after_a_stream(gateway: Gateway) -> None:
    """A connection carries one stream after the other, and other answers between them."""
    token = gateway.token()
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        connection.connect()
        place = connection.sock.getsockname()
        for _ in range(3):
            response = _post(connection, token)
            assert response.read().endswith(b"data: [DONE]\n\n")
            assert not response.will_close
            connection.request("GET", "/v1/health")
            other = connection.getresponse()
            assert b"healthy" in other.read()
            assert place == connection.sock.getsockname()


def test_closed_on_demand(gateway: Gateway) -> None:
    """Who asks for it has the connection closed after a stream."""
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        response = _post(connection, gateway.token(), Connection="close")

        assert response.will_close
        assert response.read().endswith(b"data: [DONE]\n\n")


def test_head_of_a_stream(gateway: Gateway) -> None:
    """Who asks for the head of an endless answer is told it, and can take nothing after it for another answer."""
    token = gateway.token()
    asked = f"HEAD /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nAuthorization: Bearer {token}\r\n\r\n"

    told = gateway.raw(asked.encode())

    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in told


def test_broken_off() -> None:
    """An answer that fails after its beginning is seen to be cut: its last chunk is missing, the connection ends."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"half an ans"
        raise RuntimeError("broken")

    with serving(application) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()

        with pytest.raises(http.client.IncompleteRead) as cut:
            response.read()
    assert b"half an ans" == cut.value.partial


@pytest.mark.parametrize("told", [[("Date", "Thu, 01 Jan 1970 00:00:00 GMT")], []], ids=["its own date", "no date"])
def test_one_date(told: list[tuple[str, str]]) -> None:
    """Every answer says once when it was made, and how long it is."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), *told])
        return [b"whole"]

    with serving(application) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()

        assert (b"whole", "5") == (response.read(), response.headers["Content-Length"])
        assert 1 == len(response.headers.get_all("Date") or [])
