from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from app.server import Server, loop
from app.server.loop import Loop, Open

LARGE = b"x" * 32 * 2**20
"""More than the system keeps for a reader."""


class Counted:
    """One of waitress's objects, as far as a loop knows it: reads, and counts how often it is asked."""

    accepting = connected = True
    connecting = False

    def __init__(self, stack: ExitStack) -> None:
        self.far, self.near = (stack.enter_context(end) for end in socket.socketpair())
        self.asked = 0
        self.wants = True
        self.got = b""
        self.accepting = False

    def readable(self) -> bool:
        self.asked += 1
        return self.wants

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        self.got += self.near.recv(100)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all of them are asked again while a test runs."""
    monkeypatch.setattr(loop, "_SWEEP_S", 60)


def opened(*those: Counted) -> Open:
    """What is open."""
    found = Open()
    for one in those:
        found[one.near.fileno()] = one
    return found


@pytest.mark.usefixtures("seldom")
def test_nobody_is_asked_for_nothing(stack: ExitStack) -> None:
    """Only of whom something was read it is asked again what it waits for."""
    first, second = Counted(stack), Counted(stack)
    turns = Loop(opened(first, second))
    turns.turn(0)
    before = first.asked, second.asked

    for _ in range(5):
        first.far.send(b"a")
        turns.turn(5)
    turns.turn(0)

    assert (b"aaaaa", b"") == (first.got, second.got)
    assert (before[0] + 5, before[1]) == (first.asked, second.asked)


@pytest.mark.usefixtures("seldom")
def test_changed_from_outside(stack: ExitStack) -> None:
    """Who does not want to read is left alone until it is doubted."""
    one = Counted(stack)
    one.wants = False
    found = opened(one)
    turns = Loop(found)
    one.far.send(b"a")
    turns.turn(0)
    before = one.got
    one.wants = True
    found.doubt(one.near.fileno())
    found.doubt(None)

    turns.turn(5)

    assert (b"", b"a") == (before, one.got)


def test_all_are_asked_in_time(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that nobody told of is seen when all are asked again."""
    monkeypatch.setattr(loop, "_SWEEP_S", 0)
    one = Counted(stack)
    one.wants = False
    turns = Loop(opened(one))
    one.far.send(b"a")
    turns.turn(0)
    one.wants = True

    turns.turn(5)

    assert b"a" == one.got


@pytest.mark.usefixtures("seldom")
def test_descriptor_of_another(stack: ExitStack) -> None:
    """Who is closed is forgotten, and who gets its descriptor is heard."""
    old, new = Counted(stack), Counted(stack)
    found = opened(old)
    turns = Loop(found)
    turns.turn(0)
    descriptor = old.near.fileno()
    del found[descriptor]
    old.near.close()
    duplicate = socket.socket(fileno=os.dup2(new.near.fileno(), descriptor))
    new.near.close()
    new.near = stack.enter_context(duplicate)
    found[descriptor] = new
    new.far.send(b"a")

    turns.turn(5)

    assert (b"", b"a") == (old.got, new.got)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers with its path, or with much."""
    body = LARGE if environ["PATH_INFO"] == "/large" else environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def port() -> Iterator[int]:
    server = Server(application, "127.0.0.1", 0, calls=4)
    server.start()
    yield server.port
    server.close(lambda _: 0, 0.1)


@pytest.mark.usefixtures("seldom")
def test_many_come_and_go(port: int, stack: ExitStack) -> None:
    """Connections are answered among any number of idle ones, though descriptors are used again and again."""
    idle = [stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10))) for _ in range(60)]
    for connection in idle:
        connection.connect()
    for number in range(200):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", f"/{number}")
            assert f"/{number}".encode() == connection.getresponse().read()
    for connection in idle:
        connection.request("POST", "/late", b"")
        assert b"/late" == connection.getresponse().read()


@pytest.mark.usefixtures("seldom")
def test_several_at_once(port: int) -> None:
    """Requests that come ahead of their turn are all answered, in order."""
    asked = b"".join(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for number in range(20))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(asked + b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        told = b"".join(iter(lambda: connection.recv(65536), b""))

    bodies = [part.partition(b"HTTP")[0] for part in told.split(b"\r\n\r\n")[1:]]
    assert [*(f"/{number}".encode() for number in range(20)), b"/last"] == bodies


@pytest.mark.usefixtures("seldom")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_slow_reader(port: int, method: str) -> None:
    """Who takes a large answer in small pieces gets all of it, and is then heard again."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(2):
            connection.sendall(f"{method} /large HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
            head, _, body = connection.recv(4096).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            size = len(body)
            while size < len(LARGE):
                size += len(connection.recv(16384))
            assert len(LARGE) == size
