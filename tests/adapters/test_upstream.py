from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
import urllib3

from app.adapters.failures import mapped
from app.adapters.upstream import HttpAttempt, HttpUpstream, Timeouts
from app.core.attempts import Phase
from app.core.errors import GatewayError, TimedOut, UpstreamFailed

KEY = "sk-or-v1-canary"
FAST = Timeouts(connect=2, headers_stream=0.3, headers_plain=0.3, read=0.3)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def peer(*talks: Callable[[socket.socket], None]) -> Iterator[str]:
    """A raw listener that talks to one connection after the other; its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        for talk in talks:
            connection, _ = listener.accept()
            held.append(connection)
            talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(5)
        for connection in held:
            connection.close()
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    """One request with its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answering(data: bytes, *, then_close: bool = False) -> Callable[[socket.socket], None]:
    """Read a request, send these bytes."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)
        if then_close:
            connection.close()

    return talk


def post(base_url: str, *, timeouts: Timeouts = FAST) -> HttpAttempt:
    upstream = HttpUpstream(base_url, timeouts=timeouts)
    return upstream.post("/chat/completions", b"{}", {}, key=KEY, stream=True)


def test_refused_connection() -> None:
    """A connection that is refused was never sent, and the error says how to go on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    attempt = post(f"http://127.0.0.1:{port}")

    with pytest.raises(UpstreamFailed) as caught:
        attempt.send()

    assert ("upstream_unreachable", True) == (caught.value.code, caught.value.should_retry)
    assert Phase.CONNECTING == attempt.phase


def test_told_of_a_new_connection() -> None:
    """It is told when a connection has to be made, and only then."""
    told: list[str] = []

    def twice(connection: socket.socket) -> None:
        for _ in range(2):
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")(connection)

    with peer(twice) as url:
        upstream = HttpUpstream(url, timeouts=FAST)
        for number in range(2):
            attempt = upstream.post("/chat/completions", b"{}", {}, key=KEY, stream=False)
            answer = attempt.send(lambda _: told.append("sent"), lambda: told.append("connecting"))
            assert b"{}" == answer.read()
            told.append(str(number))

    assert ["sent", "0", "sent", "1"] == [word for word in told if word != "connecting"]
    assert "connecting" in told[: told.index("sent")]
    assert "connecting" not in told[told.index("0") :]


def test_unknown_name() -> None:
    """A name that does not resolve was never sent."""
    attempt = post("http://no-such-host.invalid")

    with pytest.raises(UpstreamFailed) as caught:
        attempt.send()

    assert "upstream_unreachable" == caught.value.code


def test_broken_before_headers() -> None:
    """A connection that breaks after the request went out has an unknown outcome, and is not to be repeated."""
    with peer(lambda connection: (read_request(connection), connection.close())) as url:
        attempt = post(url)
        with pytest.raises(TimedOut) as caught:
            attempt.send()

    assert ("outcome_unknown", False) == (caught.value.code, caught.value.should_retry)
    assert Phase.SENT == attempt.phase


def test_silent_before_headers() -> None:
    """Silence after the request went out has an unknown outcome as well."""
    with peer(read_request) as url, pytest.raises(TimedOut) as caught:
        post(url).send()

    assert "outcome_unknown" == caught.value.code


def test_silent_inside_the_body() -> None:
    """Silence inside an answer is a stall."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
    with peer(answering(head)) as url:
        chunks = post(url).send().chunks()
        first = next(chunks)
        with pytest.raises(TimedOut) as caught:
            next(chunks)

    assert (b"ab", "upstream_stalled") == (first, caught.value.code)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
    ],
    ids=["short length", "no last chunk", "bad chunk size", "false gzip"],
)
def test_cut_bodies(answer: bytes) -> None:
    """A body that does not come to its own end is an error that people can read, never a shorter answer."""
    with peer(answering(answer, then_close=True)) as url, pytest.raises(UpstreamFailed) as caught:
        post(url).send().read()

    assert "upstream_truncated" == caught.value.code
    assert "Answer" not in caught.value.message


def test_no_http() -> None:
    """Bytes that are no HTTP are an unknown outcome, not a crash."""
    with peer(answering(b"SSH-2.0-OpenSSH\r\n\r\n", then_close=True)) as url, pytest.raises(TimedOut) as caught:
        post(url).send()

    assert "outcome_unknown" == caught.value.code


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (b"X-Own: a", "x-own", "a"),
        (b"x-own:a", "X-Own", "a"),
        (b"X-Own: \t a:b \t", "X-Own", "a:b"),
        (b"X-Own:", "X-Own", ""),
        (b"X-Own: a\r\nX-Other: c\r\nx-OWN: b", "X-Own", "a, b"),
        (b"X-Own: caf\xe9\xa0", "X-Own", "caf\xe9\xa0"),
    ],
)
def test_headers(lines: bytes, name: str, value: str) -> None:
    """A header is found in any spelling, without the blanks around it; those of one name are a list."""
    with peer(answering(OK.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n\r\n"))) as url:
        answer = post(url).send()

        assert (value, b"{}") == (answer.headers.get(name), answer.read())


@pytest.mark.parametrize(
    "line",
    [b"no colon", b"X-Own : a", b"X-Own\t: a", b" X-Own: a", b"X-Own: a\r\n folded"],
)
def test_bad_header(line: bytes) -> None:
    """What is no header makes the answer none: two readers could take it for two different ones."""
    answer = OK.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)
    with peer(answering(answer, then_close=True)) as url, pytest.raises(TimedOut) as caught:
        post(url).send()

    assert "outcome_unknown" == caught.value.code


def test_wrong_certificate() -> None:
    """A TLS peer that cannot be trusted is sent nothing, and the error says what to check."""

    def not_tls(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    with peer(not_tls) as url:
        attempt = post(url.replace("http:", "https:"))
        with pytest.raises(UpstreamFailed) as caught:
            attempt.send()

    assert "upstream_tls_error" == caught.value.code
    assert attempt.phase < Phase.SENT


def test_redirects_are_not_followed() -> None:
    """A redirect is told as the answer it is; neither key nor body goes anywhere else."""
    with closing(socket.create_server(("127.0.0.1", 0))) as elsewhere:
        elsewhere.settimeout(0.2)
        target = f"Location: http://127.0.0.1:{elsewhere.getsockname()[1]}/\r\n".encode()
        with peer(answering(b"HTTP/1.1 307 Go\r\n" + target + b"Content-Length: 0\r\n\r\n")) as url:
            status = post(url).send().status
        with pytest.raises(TimeoutError):
            elsewhere.accept()

    assert 307 == status


def test_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither .netrc nor the environment's proxies change what is sent."""
    (Path.home() / ".netrc").write_text("machine 127.0.0.1 login other password secret\n")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(OK)

    with peer(talk) as url:
        post(url).send().read()

    assert b"Authorization: Bearer " + KEY.encode() in seen[0]
    assert b"Basic" not in seen[0]


def test_another_key() -> None:
    """The key that was replaced is sent no more, and stays nowhere."""
    old, new = "sk-or-v1-" + "old" * 20, "sk-or-v1-" + "new" * 20
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        for _ in range(2):
            seen.append(read_request(connection))
            connection.sendall(OK)

    with peer(talk) as url:
        upstream = HttpUpstream(url, timeouts=Timeouts())
        for key in (old, new):
            upstream.post(
                "/chat/completions", b"{}", {"Accept": "application/json"}, key=key, stream=False
            ).send().read()

    assert [old.encode() in request for request in seen] == [True, False]
    assert f"Authorization: Bearer {new}\r\n".encode() in seen[1]
    kept = upstream._head("POST", "/chat/completions", (("Accept", "application/json"),))
    assert b"Authorization" not in kept


@pytest.mark.parametrize("when", ["before headers", "inside the body"])
def test_cancel_from_another_thread(when: str) -> None:
    """Cancelling wakes the thread that waits, and the peer sees the connection close."""
    asked, gone = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        if when == "inside the body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        asked.set()
        connection.settimeout(5)
        if connection.recv(1) == b"":
            gone.set()

    patient = Timeouts(headers_stream=30, read=30)
    with peer(talk) as url:
        attempt = post(url, timeouts=patient)
        threading.Thread(target=lambda: (asked.wait(5), attempt.cancel())).start()
        with pytest.raises(GatewayError) as caught:
            attempt.send().read()

    assert "cancelled" == caught.value.code
    assert gone.is_set()


def test_cancel_spares_the_next_attempt() -> None:
    """Cancelling an attempt that is over does not touch the connection it has given back."""

    def two_answers(connection: socket.socket) -> None:
        for _ in range(2):
            read_request(connection)
            connection.sendall(OK)

    with peer(two_answers) as url:
        upstream = HttpUpstream(url, timeouts=FAST)
        first = upstream.post("/a", b"{}", {}, key=KEY, stream=False)
        first.send().read()
        second = upstream.post("/b", b"{}", {}, key=KEY, stream=False)
        answer = second.send()
        first.cancel()

        body = answer.read()

    assert b"{}" == body


def test_get_is_tried_again() -> None:
    """A GET that found a dead connection is asked once more; nothing is lost by that."""
    with peer(lambda connection: connection.close(), answering(OK)) as url:
        status, body = HttpUpstream(url, timeouts=FAST).get("/models", key=None)

    assert (200, b"{}") == (status, body)


def _descendants(kind: type[BaseException]) -> list[type[BaseException]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _descendants(child))]


@pytest.mark.parametrize(
    "kind",
    sorted(
        {*_descendants(requests.exceptions.RequestException), *_descendants(urllib3.exceptions.HTTPError)},
        key=lambda kind: f"{kind.__module__}.{kind.__name__}",
    ),
    ids=lambda kind: kind.__name__,
)
def test_every_foreign_error_is_mapped(kind: type[Exception]) -> None:
    """Whatever requests or urllib3 can raise becomes an error of ours, without the key in it."""
    error = kind.__new__(kind)
    error.args = (KEY,)

    with pytest.raises(GatewayError) as caught, mapped(post("http://127.0.0.1:9")):
        raise error

    assert KEY not in caught.value.message


def test_interim_answer() -> None:
    """After an interim 1xx the final answer is still to come, and it is the one that counts."""

    def early(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        connection.sendall(OK.replace(b"{}", b"[]"))
        read_request(connection)
        connection.sendall(OK)

    with peer(early) as url:
        upstream = HttpUpstream(url, timeouts=FAST)
        first = upstream.post("/a", b"{}", {}, key=KEY, stream=False).send()
        found = first.status, first.read()
        second = upstream.post("/b", b"{}", {}, key=KEY, stream=False).send().read()

    assert (200, b"[]", b"{}") == (*found, second)


def test_slow_upload() -> None:
    """A large body may take longer than the time to connect."""
    body = b"x" * 20_000_000
    seen: list[int] = []

    def slow(connection: socket.socket) -> None:
        threading.Event().wait(0.5)
        seen.append(len(read_request(connection).partition(b"\r\n\r\n")[2]))
        connection.sendall(OK)

    quick = Timeouts(connect=0.2, headers_stream=10, headers_plain=10)
    with peer(slow) as url:
        status = HttpUpstream(url, timeouts=quick).post("/a", body, {}, key=KEY, stream=False).send().status

    assert (200, [len(body)]) == (status, seen)


def test_cancel_when_the_peer_will_close() -> None:
    """An answer that ends with its connection can be cancelled like any other."""
    asked = threading.Event()

    def closing_later(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab")
        asked.set()
        connection.recv(1)

    with peer(closing_later) as url:
        attempt = post(url, timeouts=Timeouts(headers_stream=30, read=30))
        chunks = attempt.send().chunks()
        first = next(chunks)
        threading.Thread(target=lambda: (asked.wait(5), attempt.cancel())).start()
        with pytest.raises(GatewayError) as caught:
            next(chunks)

    assert (b"ab", "cancelled") == (first, caught.value.code)


def test_after_a_sleep() -> None:
    """Connections from before a sleep are not used again: their peers are gone without a word."""
    with peer(answering(OK), answering(OK)) as url:
        upstream = HttpUpstream(url, timeouts=FAST)
        upstream.post("/a", b"{}", {}, key=KEY, stream=False).send().read()
        upstream._gap_s -= 3600

        body = upstream.post("/b", b"{}", {}, key=KEY, stream=False).send().read()

    assert b"{}" == body
