from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.server.pump import Carried, Pump


class Source:
    """A flow whose parts are what comes on a socket, up to its end."""

    def __init__(self, stack: ExitStack) -> None:
        self.far, self._near = (stack.enter_context(end) for end in socket.socketpair())
        self._near.setblocking(False)
        self.asked = 0
        self.closed = threading.Event()
        self.failure: Exception | None = None

    def __next__(self) -> bytes:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        try:
            part = self._near.recv(1000)
        except BlockingIOError:
            return b""
        if not part:
            raise StopIteration
        return part

    def detach(self) -> int:
        return self._near.fileno()

    def close(self) -> None:
        self.closed.set()


class App:
    """An outlet that keeps what it is given; one that `fills` is full once it has some."""

    def __init__(self) -> None:
        self.came = threading.Condition()
        self.got = b""
        self.fills = self.full = False
        self.ended: list[Exception | None] = []
        self.gone = False

    def write(self, data: bytes) -> None:
        if self.gone:
            raise ConnectionResetError
        with self.came:
            self.got += data
            self.full = self.fills
            self.came.notify_all()

    def is_full(self) -> bool:
        return self.full

    def end(self, failure: Exception | None) -> None:
        with self.came:
            self.ended.append(failure)
            self.came.notify_all()

    def has(self, data: bytes) -> bool:
        with self.came:
            return self.came.wait_for(lambda: self.got == data, 10)

    def is_over(self) -> bool:
        with self.came:
            return self.came.wait_for(lambda: bool(self.ended), 10)


class Bench:
    """A pump with as many streams as a test needs."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.broke: list[Exception] = []
        self.pump = Pump(self.broke.append)
        stack.callback(self.pump.close)

    def stream(self) -> tuple[Source, App, Carried]:
        source, app = Source(self._stack), App()
        carried = self.pump.carry(source, app, source.detach())
        carried.go_on()
        return source, app, carried


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def test_parts_as_they_come(bench: Bench) -> None:
    """Each part is at the app before the next one comes, and the end lets go of both sides once."""
    source, app, _ = bench.stream()

    for number in range(1, 20):
        source.far.sendall(b"x")
        assert app.has(b"x" * number)
    source.far.close()

    assert app.is_over()
    assert source.closed.is_set()
    bench.pump.wait_idle(10)
    assert ([None], []) == (app.ended, bench.broke)


def test_full_app(bench: Bench) -> None:
    """Nothing is taken for an app that is full, though more comes, until it has moved; the others go on meanwhile."""
    source, app, carried = bench.stream()
    app.fills = True
    source.far.sendall(b"first")
    assert app.has(b"first")
    other, other_app, _ = bench.stream()
    source.far.sendall(b" second")
    for number in range(1, 5):
        other.far.sendall(b"y")
        assert other_app.has(b"y" * number)
    asked = source.asked
    assert b"first" == app.got

    app.fills = app.full = False
    carried.outlet_moved()

    assert app.has(b"first second")
    assert source.asked > asked


@pytest.mark.parametrize("at_the_app", [False, True], ids=["source", "app"])
def test_failure(bench: Bench, at_the_app: bool) -> None:
    """What goes wrong at either end is told to that stream's outlet alone."""
    source, app, _ = bench.stream()
    other, other_app, _ = bench.stream()
    source.failure = None if at_the_app else ValueError("broken")
    app.gone = at_the_app

    source.far.sendall(b"x")
    assert app.is_over()
    other.far.sendall(b"y")

    assert other_app.has(b"y")
    assert source.closed.is_set()
    assert [ConnectionResetError if at_the_app else ValueError] == [type(failure) for failure in app.ended]
    assert ([], []) == (other_app.ended, bench.broke)


def test_many_in_one_thread(bench: Bench) -> None:
    """Two hundred streams make one thread."""
    before = threading.active_count()
    streams = [bench.stream() for _ in range(200)]

    for source, _, _ in streams:
        source.far.sendall(b"z")

    assert all(app.has(b"z") for _, app, _ in streams)
    assert before + 1 == threading.active_count()


def test_idle(bench: Bench) -> None:
    """Who waits for it to be idle is let go when the last stream is over."""
    source, _, _ = bench.stream()
    over = threading.Event()
    waiting = threading.Thread(target=lambda: (bench.pump.wait_idle(10), over.set()))
    waiting.start()
    assert not over.is_set()

    source.far.close()

    waiting.join(10)
    assert over.is_set()
