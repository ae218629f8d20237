"""Apps that leave before OpenRouter has the request."""

from __future__ import annotations

import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.attempts import Phase
from app.sandbox.server import Sandbox
from tests.gateway import running_gateway
from tests.lab.client.lab import Lab, comes_true
from tests.lab.client.raw_app import Leaving, body_of, pause


@dataclass
class Deaf:
    """A listener that takes connections and reads nothing until it is told to."""

    url: str
    taken: list[socket.socket] = field(default_factory=list)

    def received(self) -> int:
        """Read what there is of the only connection, to its end: how many bytes that were."""
        connection, size = self.taken[0], 0
        connection.settimeout(5)
        with suppress(ConnectionError):
            while data := connection.recv(2**20):
                size += len(data)
        return size


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    """An upstream that does not read."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        deaf = Deaf(f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1")
        thread = threading.Thread(target=_take, args=(listener, deaf), name="orgate-test-listener", daemon=True)
        thread.start()
        yield deaf
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in deaf.taken:
            connection.close()


def _take(listener: socket.socket, deaf: Deaf) -> None:
    with suppress(OSError):
        while True:
            deaf.taken.append(listener.accept()[0])


@pytest.fixture
def slow_lab(sandbox: Sandbox, tmp_path: Path, deaf: Deaf) -> Iterator[Lab]:
    """A gateway in front of the listener that does not read."""
    settings = {"openrouter_background_refresh": "false", "openrouter_base_url": deaf.url}
    with running_gateway(sandbox, tmp_path / "slow", **settings) as gateway:
        lab = Lab(gateway, sandbox)
        yield lab
        lab.check_nothing_left()


@pytest.mark.long
@pytest.mark.parametrize("again", range(20 if os.environ.get("ORGATE_LONG") else 1))
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_leaving_while_sending(slow_lab: Lab, deaf: Deaf, stream: bool, how: Leaving, again: int) -> None:
    """An app that leaves while its large request is being sent ends the sending within a second."""
    body = body_of("sandbox/ok", stream=stream, padding="x" * (12 * 2**20))
    app = slow_lab.app()
    app.post(body)
    assert comes_true(lambda: deaf.taken and slow_lab.runs())
    attempt = slow_lab.runs()[0]._attempt

    left_at = app.leave(how)

    assert comes_true(lambda: not slow_lab.runs(), within_s=1.0)
    print(f"sending {again}: {(time.monotonic_ns() - left_at) / 1e9:.3f} s")  # noqa: T201
    assert attempt is not None
    assert Phase.SENDING == attempt.phase
    assert deaf.received() < len(body)
    assert slow_lab.comes_to((499, "left"))
    assert 1 == len(deaf.taken)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_c1_half_a_body(lab: Lab, how: Leaving) -> None:
    """An app that leaves before its request is complete has asked for nothing."""
    app = lab.app()
    app.socket.sendall(app.head("Content-Length: 1000") + body_of("sandbox/ok"))
    assert comes_true(lambda: lab.connections())

    app.leave(how)

    assert comes_true(lambda: not lab.connections())
    assert [] == lab.posts()


def test_c2_slow_body(lab: Lab) -> None:
    """A request that comes byte by byte takes no thread and no place of a call, and is answered when it is there."""
    body = body_of("sandbox/ok")
    slow = lab.app()
    slow.socket.sendall(slow.head(f"Content-Length: {len(body)}") + body[:-5])
    assert comes_true(lab.connections)
    for byte in body[-5:-1]:
        slow.socket.sendall(bytes([byte]))
        other = lab.app()
        other.chat("sandbox/ok")
        assert 200 == other.reply().status
    assert comes_true(lambda: lab.gateway.server._lanes._calls._load == 0)

    slow.socket.sendall(body[-1:])

    assert 200 == slow.reply().status
    assert 5 == len(lab.posts())


def test_c2_too_slow_body(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is not there in time, byte by byte or not at all, ends with its connection; nothing is sent."""
    monkeypatch.setattr("app.server._REQUEST_S", 0.5)
    body = body_of("sandbox/ok")
    slow, mute = lab.app(), lab.app()
    slow.socket.sendall(slow.head(f"Content-Length: {len(body)}"))
    mute.socket.sendall(b"POST /v1/chat")

    for byte in body[: len(body) // 2]:
        with suppress(ConnectionError):
            slow.socket.sendall(bytes([byte]))
        pause(0.05)

    assert mute.ended()
    assert slow.ended()
    assert [] == lab.posts()


def test_c3_leaving_the_line_for_a_thread(lab: Lab) -> None:
    """A call whose app has left before a thread had time for it is never sent."""
    lane = lab.gateway.server._lanes._calls
    release = threading.Event()
    for _ in range(lane._most):
        lane.add(functools.partial(release.wait, 10))
    app = lab.app()
    app.chat("sandbox/ok")
    assert comes_true(lambda: lane._load > lane._most)

    app.leave()
    assert comes_true(lambda: not lab.connections())
    release.set()

    lab.check_nothing_left()
    assert [] == lab.posts()


def test_one_call_too_many(sandbox: Sandbox, tmp_path: Path) -> None:
    """When every place is taken the next call is told so at once and may come again; nothing is sent for it."""
    with running_gateway(
        sandbox, tmp_path / "full", openrouter_background_refresh="false", orgate_max_streams="1"
    ) as gateway:
        lab = Lab(gateway, sandbox)
        first = lab.app()
        first.chat("sandbox/silence")
        assert comes_true(lambda: lab.posts())

        with lab.app() as second:
            second.chat("sandbox/ok")
            reply = second.reply()

        assert (503, "too_many_calls", "true") == reply.refusal
        assert "1" == reply.headers["Retry-After"]
        assert 1 == len(lab.posts())
        first.leave()
        lab.check_nothing_left()


def test_c8_leaving_after_the_end(lab: Lab) -> None:
    """An app that closes right after [DONE] has its answer: the call counts as answered, not as left."""
    app = lab.app()
    app.chat("sandbox/ok", stream=True)
    app.read_until(b"data: [DONE]\n\n")

    app.leave("rst")

    assert lab.comes_to((200, "answered"))
    assert ["answered"] == [row["ended"] for row in lab.posts()]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_c11_half_close(lab: Lab, stream: bool) -> None:
    """An app that closes its sending half counts as gone: it gets no answer, and OpenRouter's connection is closed."""
    app = lab.app()
    app.chat("sandbox/silence", stream=stream)
    assert comes_true(lambda: lab.posts())

    app.socket.shutdown(socket.SHUT_WR)

    assert app.ended()
    assert comes_true(lambda: lab.posts()[0]["ended"] == "client_closed")
    assert lab.comes_to((499, "left"))
    app.leave()
