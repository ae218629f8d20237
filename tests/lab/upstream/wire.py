"""An upstream below HTTP: it plays a script per POST, chosen by the model, and records every POST it received."""

from __future__ import annotations

import functools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_MODEL = re.compile(rb'"model":\s*"([^"]+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Over(Exception):
    """The connection has ended; the script with it."""


@dataclass
class Post:
    """One POST as it came."""

    model: str
    head: bytes
    body: bytes
    connection: int
    began: float
    """The monotonic clock when its head was read."""
    over: threading.Event = field(default_factory=threading.Event)
    """The script has ended or its connection has."""
    gone: threading.Event = field(default_factory=threading.Event)
    """The gateway has closed the connection."""

    @property
    def json(self) -> dict[str, Any]:
        """The decoded body."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


class Peer:
    """The gateway's end of one connection, as a script sees it."""

    def __init__(self, connection: socket.socket, post: Post) -> None:
        self._connection = connection
        self.post = post

    @property
    def stream(self) -> bool:
        """The call wants a stream."""
        return b'"stream": true' in self.post.body or b'"stream":true' in self.post.body

    def send(self, data: bytes) -> None:
        """Write this; raises Over when the gateway has gone."""
        try:
            self._connection.sendall(data)
        except OSError as error:
            self.post.gone.set()
            raise Over from error

    def pause(self, seconds: float) -> None:
        """Say nothing for so long; raises Over as soon as the gateway closes."""
        self._connection.settimeout(seconds)
        try:
            data = self._connection.recv(1)
        except TimeoutError:
            return
        except OSError:
            data = b""
        finally:
            self._connection.settimeout(20)
        assert not data, "the gateway wrote on a connection that is not its turn"
        self.post.gone.set()
        raise Over

    def hold(self) -> None:
        """Say nothing until the gateway closes."""
        self.pause(20)
        raise Over

    def hang_up(self) -> None:
        """Close in an orderly way."""
        raise Over

    def reset(self) -> None:
        """Close with a TCP reset."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Over


Play = Callable[[Peer], None]


class RawUpstream:
    """The listener, its scripts and its record. What a script leaves whole may be followed by another request."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.gets: dict[str, bytes] = {}
        """What a GET of this path is answered, whole."""
        self.hasty: set[str] = set()
        """The models whose script begins before the body was read."""
        self._plays: dict[str, tuple[Play, ...]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._count = iter(range(10**6))

    def script(self, model: str, *plays: Play) -> None:
        """What follows the POSTs for this model, one after the other; the last goes on for ever."""
        self._plays[model] = plays

    def posts_for(self, *models: str) -> list[Post]:
        """The POSTs for these models, in the order they came."""
        with self._changed:
            return [post for post in self.posts if post.model in models]

    def await_posts(self, count: int, *models: str, within_s: float = 5) -> list[Post]:
        """The POSTs for these models once there are so many."""
        with self._changed:
            self._changed.wait_for(lambda: sum(post.model in models for post in self.posts) >= count, within_s)
        return self.posts_for(*models)

    def __enter__(self) -> RawUpstream:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            self._closing = True
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="lab-upstream", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(functools.partial(self._serve, connection, next(self._count)))

    def _serve(self, connection: socket.socket, number: int) -> None:
        post: Post | None = None
        with connection:
            with self._changed:
                if self._closing:
                    return
                self._open.add(connection)
            connection.settimeout(20)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for request in self._requests(connection, number):
                    post = request
                    play = self._enter(post)
                    play(Peer(connection, post))
                    post.over.set()
                if post is not None:
                    post.gone.set()
            except (Over, OSError):
                pass
            finally:
                with self._changed:
                    self._open.discard(connection)
        if post is not None:
            post.over.set()

    def _enter(self, post: Post) -> Play:
        with self._changed:
            self.posts.append(post)
            earlier = sum(each.model == post.model for each in self.posts) - 1
            self._changed.notify_all()
        plays = self._plays[post.model]
        return plays[min(earlier, len(plays) - 1)]

    def _requests(self, connection: socket.socket, number: int) -> Iterator[Post]:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                if not (data := connection.recv(65536)):
                    return
                received += data
            began = time.monotonic()
            head, _, body = received.partition(b"\r\n\r\n")
            if head.startswith(b"GET "):
                connection.sendall(self.gets.get(head.split()[1].decode().partition("?")[0], _NOT_FOUND))
                received = body
                continue
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            while not (name := _MODEL.search(body)) or (len(body) < length and name[1].decode() not in self.hasty):
                if not (data := connection.recv(65536)):
                    return
                body += data
            received = body[length:]
            yield Post(name[1].decode(), head, body[:length], number, began)


_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def raw_listener(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a listener below everything: `talk` has each connection, in a thread of its own, and closes it."""
    threads: list[threading.Thread] = []
    held: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            held.append(connection)
            threads.append(threading.Thread(target=serve, args=(connection,), name="lab-upstream", daemon=True))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=accept, name="lab-upstream", daemon=True))
        threads[0].start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    for connection in held:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(5)


@contextmanager
def full_backlog() -> Iterator[int]:
    """The port of a listener that takes no more connections: Linux drops what knocks."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while True:
            knock = waiting.enter_context(socket.socket())
            knock.settimeout(0.2)
            try:
                knock.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]
