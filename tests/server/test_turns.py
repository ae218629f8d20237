from __future__ import annotations

import http.client
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from app.server import Server, turns
from app.server.turns import Turn, Turns
from tests.lab.client.raw_app import pause

_A_MOMENT_S = 0.2


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a turn may have it for long."""
    monkeypatch.setattr(turns, "_LONG_S", 30)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def is_waiting(future: Future[Any]) -> bool:
    """Whether it is not done, and not about to be."""
    try:
        future.result(_A_MOMENT_S)
    except TimeoutError:
        return True
    return False


class Calls:
    """Calls that go on until the test ends, and the turns of those that were begun."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.turns = Turns(lambda run: pool.submit(run) and None)
        self.end = threading.Event()
        self._begun: queue.Queue[Turn] = queue.Queue()

    def add(self, count: int) -> None:
        """So many more."""
        for _ in range(count):
            self.turns.add(self._begin)

    def begun(self) -> Turn | None:
        """The next one that has begun, or soon does."""
        with suppress(queue.Empty):
            return self._begun.get(timeout=_A_MOMENT_S)
        return None

    def _begin(self, turn: Turn) -> None:
        self._begun.put(turn)
        assert self.end.wait(10)


@pytest.fixture
def calls(pool: ThreadPoolExecutor) -> Iterator[Calls]:
    calls = Calls(pool)
    yield calls
    calls.end.set()


@pytest.mark.usefixtures("patient")
def test_one_after_another(calls: Calls) -> None:
    """The next call is begun where the turn of the one before is over."""
    calls.add(3)
    first, second = calls.begun(), calls.begun()
    assert first is not None
    first.over()

    assert second is None
    assert calls.begun() is not None
    assert calls.begun() is None


@pytest.mark.usefixtures("patient")
def test_over_twice(calls: Calls) -> None:
    """A turn that is given up twice is no other's."""
    calls.add(3)
    first = calls.begun()
    assert first is not None
    first.over()
    calls.begun()
    first.over()

    assert calls.begun() is None


@pytest.mark.usefixtures("patient")
def test_end_of_a_call(calls: Calls) -> None:
    """A call that has ended has no turn, whatever it said."""
    calls.add(2)
    calls.begun()
    before = calls.begun()
    calls.end.set()

    assert before is None
    assert calls.begun() is not None


@pytest.mark.usefixtures("patient")
def test_nobody_waits_for_long(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the turn and waits for something itself holds nobody up, nor those who come later."""
    now = [100.0]
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: now[0]))
    calls.add(1)
    alone = calls.turns.go_on()
    calls.add(2)
    now[0] += 20
    left = calls.turns.go_on()
    begun = [calls.begun(), calls.begun()]
    now[0] += 11
    again = calls.turns.go_on()

    assert (None, 10, 30) == (alone, left, again)
    assert [True, False] == [turn is not None for turn in begun]
    assert calls.begun() is not None
    assert calls.begun() is None


@pytest.mark.usefixtures("patient")
def test_order(pool: ThreadPoolExecutor) -> None:
    """Calls are begun in the order they came."""
    begun: list[int] = []
    given, end, done = Turns(lambda run: pool.submit(run) and None), threading.Event(), threading.Event()
    given.add(lambda _: end.wait(10) and None)
    for number in range(5):
        given.add(lambda _, number=number: begun.append(number))  # type: ignore[misc]
    given.add(lambda _: done.set())
    end.set()

    assert done.wait(5)
    assert [0, 1, 2, 3, 4] == begun


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call for which the system gives no thread waits for one, and nobody else pays for it."""
    monkeypatch.setattr(turns, "_AGAIN_S", 0.01)
    failures: list[Exception] = []
    begun: list[str] = []
    is_full = True

    def start(run: Callable[[], None]) -> None:
        if is_full:
            raise RuntimeError("can't start new thread")
        run()

    given = Turns(start, failures.append)
    given.add(lambda _: begun.append("first"))
    given.add(lambda _: begun.append("second"))
    waits = given.go_on()
    is_full = False
    pause(waits or 0)
    given.go_on()

    assert waits is not None
    assert (["first", "second"], 1) == (begun, len(failures))


class Application:
    """Answers when the test says so; what is asked for tells whether it has begun by then."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.came = threading.Semaphore(0)
        self.answers = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        self.came.release()
        if environ["PATH_INFO"] == "/waits":
            environ["orgate.begun"]()
        if environ["PATH_INFO"] != "/quick":
            assert self.answers.wait(10)
        start_response("200 OK", [("Content-Length", "0")])
        return []


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(application: Application) -> Iterator[Server]:
    server = Server(application, "127.0.0.1", 0, calls=4)
    server.start()
    yield server
    application.answers.set()
    server.close(lambda _: 0, 0.1)


@pytest.fixture
def ask(server: Server, pool: ThreadPoolExecutor) -> Callable[..., Future[int]]:
    """Asks the server for a path; its answer's status is still to come."""

    def asked(path: str, method: str = "POST") -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.request(method, path, b"")
            return connection.getresponse().status

    return lambda *args: pool.submit(asked, *args)


@pytest.mark.usefixtures("patient")
def test_calls_of_one_connection(server: Server, application: Application, ask: Callable[..., Future[int]]) -> None:
    """A call that follows another in its connection has a turn of its own, and can say that it waits."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head % b"/quick" + head % b"/waits")
        for _ in range(2):
            assert application.came.acquire(timeout=5)

        assert 200 == ask("/quick").result(5)


@pytest.mark.usefixtures("patient")
def test_next_call_while_one_waits(application: Application, ask: Callable[..., Future[int]]) -> None:
    """A call begins while those before wait for their answers."""
    waiting = [ask("/waits"), ask("/waits")]
    for _ in waiting:
        assert application.came.acquire(timeout=5)

    assert 200 == ask("/quick").result(5)
    application.answers.set()
    assert [200, 200] == [each.result(5) for each in waiting]


def test_call_behind_one_that_does_not_say_that_it_waits(
    application: Application, ask: Callable[..., Future[int]]
) -> None:
    """It is begun all the same, soon."""
    busy = ask("/works")
    assert application.came.acquire(timeout=5)

    assert 200 == ask("/quick").result(5)
    application.answers.set()
    assert 200 == busy.result(5)


@pytest.mark.usefixtures("patient")
def test_next_call_after_one(application: Application, ask: Callable[..., Future[int]]) -> None:
    """A call that never waits is followed by the next one when it is over; what is no call waits for none."""
    busy = ask("/works")
    assert application.came.acquire(timeout=5)
    following = ask("/quick")

    assert 200 == ask("/quick", "GET").result(5)
    assert is_waiting(following)
    application.answers.set()
    assert [200, 200] == [busy.result(5), following.result(5)]
