from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.server.serving import serving

TEXT = [("Content-Type", "text/plain")]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with what it was asked."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    body = json.dumps({**told, "body": environ["wsgi.input"].read(size).decode()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_wsgi(method: str) -> None:
    """Applications are asked as WSGI says (PEP 3333), which the standard library's validator sees."""
    with serving(validator(echo)) as connection:
        for _ in range(2):
            connection.request(method, "/a%20b/?q=1", b"Hi" if method == "POST" else None, {"X-Own": "1"})
            told = json.loads(connection.getresponse().read())

    assert (method, "/a b/", "q=1", "1") == tuple(
        told[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_X_OWN")
    )
    assert ("Hi" if method == "POST" else "") == told["body"]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "Forwarded"])
def test_proxies(name: str) -> None:
    """What an app says of itself in a proxy's name reaches nobody."""
    with serving(echo) as connection:
        connection.request("GET", "/", headers={name: "203.0.113.9"})
        told = json.loads(connection.getresponse().read())

    assert "203.0.113.9" not in told.values()
    assert "127.0.0.1" == told["REMOTE_ADDR"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK\r\nX-More: 1", TEXT),
        ("200 OK", [("X-Bad", "1\r\nX-More: 1")]),
        ("200 OK", [("X-Bad", "1\nX-More: 1")]),
        ("200 OK", [("X-Bad", "1\rX-More: 1")]),
        ("200 OK", [("X-Bad\r\nX-More", "1")]),
        ("200 OK", [("Connection", "close")]),
        ("200 OK", [("transfer-encoding", "chunked")]),
        ("200 OK", [("X-Bad", 1)]),
        ("200 OK", [("Content-Length", "many")]),
        ("200 OK", [("Content-Length", "-1")]),
    ],
)
def test_bad_head(status: str, headers: list[tuple[str, str]]) -> None:
    """A head that would say something else to an app than it says here is not sent."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, headers)
        return [b"x"]

    with serving(application) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()

        assert (500, None) == (response.status, response.headers["X-More"])


def test_begun_again() -> None:
    """An answer may be begun again only to tell of an error, and only before any of it is out."""
    tried: list[Exception] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "3")])
        try:
            start_response("201 Created", TEXT)
        except AssertionError as error:
            tried.append(error)
        failure = ValueError("too late")
        start_response("503 Service Unavailable", TEXT, (ValueError, failure, None))
        yield b"sorry"
        try:
            start_response("500 Internal Server Error", TEXT, (ValueError, failure, None))
        except ValueError as error:
            tried.append(error)

    with serving(application) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()

        assert (503, b"sorry") == (response.status, response.read())
    assert [AssertionError, ValueError] == [type(error) for error in tried]


@pytest.mark.parametrize("parts", [[b"ab"], [b"a", b"b"], [], [b""]])
def test_less_than_announced(parts: list[bytes]) -> None:
    """An app that was promised more than it gets sees the connection end."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "5")])
        return parts

    with serving(application) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()

        with pytest.raises(Exception, match="more expected"):
            response.read()


@pytest.mark.parametrize("parts", [[b"abcdefg"], [b"abc", b"defg"]])
def test_more_than_announced(parts: list[bytes]) -> None:
    """What goes beyond the length that was announced is not taken for the next answer."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "5")])
        return parts

    with serving(application) as connection:
        for _ in range(2):
            connection.request("GET", "/")
            assert b"abcde" == connection.getresponse().read()


def test_written_parts() -> None:
    """WSGI's older way of sending parts reaches the app too, before those that follow."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    with serving(application) as connection:
        connection.request("GET", "/")

        assert b"one two three" == connection.getresponse().read()


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body(status: str) -> None:
    """An answer without a body is over with its head: the app waits for nothing more, and can ask again."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [("X-Kept", "1")])
        return []

    with serving(application) as connection:
        for _ in range(2):
            connection.request("GET", "/")
            response = connection.getresponse()
            assert (int(status[:3]), b"", "1") == (response.status, response.read(), response.headers["X-Kept"])
            assert response.headers["Transfer-Encoding"] is None


def test_closed() -> None:
    """An answer that can be closed is, whether it came to its end or not."""
    closed: list[str] = []

    class Parts:
        def __init__(self, name: str) -> None:
            self._name = name

        def __iter__(self) -> Iterator[bytes]:
            if self._name == "/broken":
                raise RuntimeError("broken")
            yield b"whole"

        def close(self) -> None:
            closed.append(self._name)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return Parts(environ["PATH_INFO"])

    with serving(application) as connection:
        for path, status in (("/well", 200), ("/broken", 500)):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert status == response.status
    assert ["/well", "/broken"] == closed
