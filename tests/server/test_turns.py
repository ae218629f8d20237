from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from app.server import Server, turns
from app.server.turns import Turns

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


@pytest.mark.usefixtures("patient")
def test_one_after_another(pool: ThreadPoolExecutor) -> None:
    """The next turn begins where the one before is over."""
    given = Turns()
    first = given.take()
    second = pool.submit(given.take)
    waited = is_waiting(second)

    first.over()

    third = pool.submit(lambda: (second.result(5), given.take())[1])
    assert (True, True) == (waited, is_waiting(third))
    second.result(5).over()
    third.result(5).over()


@pytest.mark.usefixtures("patient")
def test_over_twice(pool: ThreadPoolExecutor) -> None:
    """A turn that is given up twice is no other's."""
    given = Turns()
    first = given.take()
    first.over()
    second = given.take()
    first.over()

    third = pool.submit(given.take)

    assert is_waiting(third)
    second.over()
    third.result(5)


def test_nobody_waits_for_long(pool: ThreadPoolExecutor) -> None:
    """Who has the turn and waits for something itself holds nobody up."""
    given = Turns()
    given.take()

    for _ in range(3):
        assert pool.submit(given.take).result(5)


@pytest.mark.usefixtures("patient")
def test_nobody_waits_for_who_came_long_ago(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has had the turn for long holds up nobody who comes later, not even for a moment."""
    now = [100.0]
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: now[0]))
    given = Turns()
    given.take()
    now[0] += 31

    assert pool.submit(given.take).result(5)


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
def ask(application: Application, pool: ThreadPoolExecutor) -> Iterator[Callable[..., Future[int]]]:
    """Asks a server for a path; its answer's status is still to come."""
    server = Server(application, "127.0.0.1", 0, calls=4)
    server.start()

    def asked(path: str, method: str = "POST") -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.request(method, path, b"")
            return connection.getresponse().status

    yield lambda *args: pool.submit(asked, *args)
    application.answers.set()
    server.close(lambda _: 0, 0.1)


@pytest.mark.usefixtures("patient")
def test_next_call_while_one_waits(application: Application, ask: Callable[..., Future[int]]) -> None:
    """A call begins while those before wait for their answers."""
    waiting = [ask("/waits"), ask("/waits")]
    for _ in waiting:
        assert application.came.acquire(timeout=5)

    assert 200 == ask("/quick").result(5)
    application.answers.set()
    assert [200, 200] == [each.result(5) for each in waiting]


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
