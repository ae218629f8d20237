"""Connections that are opened ahead of need, with a real TLS peer on loopback that closes what is idle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.adapters import spares
from app.adapters.spares import is_missing
from app.adapters.upstream import HttpUpstream, Timeouts
from app.core.errors import GatewayError
from tests.bench.tls import certificate
from tests.tlspeer import TlsPeer
from tests.waiting import eventually

KEY = "sk-or-v1-canary"
CLOCKS = Timeouts(connect=2, headers_stream=5, headers_plain=5, read=5)
SOON_S = 0.02


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_peer(stack: ExitStack, signed: tuple[Path, Path]) -> Callable[[float], TlsPeer]:
    def make(idle_s: float) -> TlsPeer:
        peer = TlsPeer(*signed, idle_s)
        stack.callback(peer.close)
        return peer

    return make


@pytest.fixture
def reach(
    stack: ExitStack, signed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[TlsPeer], HttpUpstream]:
    """A way to the peer that has a connection ready."""
    monkeypatch.setattr(spares, "_LOOK_S", SOON_S)

    def reach(peer: TlsPeer) -> HttpUpstream:
        upstream = HttpUpstream(peer.url, timeouts=CLOCKS, ca_bundle=str(signed[0]), keep_ready=True)
        stack.callback(upstream.close)
        return upstream

    return reach


def call(upstream: HttpUpstream) -> bytes:
    return upstream.post("/a", b"{}", {}, key=KEY, stream=False).send().read()


def idle(upstream: HttpUpstream) -> int:
    """How many connections are open that nobody uses."""
    waiting = upstream._adapter.pool().pool
    with waiting.mutex:
        return sum(one is not None and one.sock is not None for one in waiting.queue)


def renewed(peer: TlsPeer, upstream: HttpUpstream) -> int:
    """After a call all connections are lost and others open that the peer has not lost: how many were lost till now."""
    call(upstream)
    peer.hang_up()
    lost = peer.shook_hands
    eventually(lambda: peer.shook_hands > lost and idle(upstream) == len(peer.open) > 0)
    return lost


def test_ready_again(make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]) -> None:
    """When the peer has closed what was idle, the next call finds a connection that is open already, and uses it."""
    peer = make_peer(60)
    upstream = reach(peer)
    for _ in range(3):
        lost = renewed(peer, upstream)

        assert b"{}" == call(upstream)
        assert lost < peer.asked[-1] <= lost + 2


def test_peer_that_keeps_them(make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]) -> None:
    """While an idle connection lasts, one is enough, and one for the calls: no more handshakes, call after call."""
    peer = make_peer(60)
    upstream = reach(peer)
    for _ in range(3):
        call(upstream)
        threading.Event().wait(5 * SOON_S)

    assert peer.shook_hands <= 2


def test_impatient_peer(make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]) -> None:
    """Where idle connections do not last, calls find one open; there are never more than two beside the call's own."""
    peer = make_peer(0.5)
    upstream = reach(peer)
    call(upstream)
    eventually(lambda: peer.shook_hands, lambda count: count >= 4)
    found, most = [], 0
    for number in range(12):
        # Most of them are longer than an idle connection lasts.
        threading.Event().wait(0.3 + 0.05 * number)
        most, before = max(most, len(peer.open)), peer.shook_hands
        call(upstream)
        found.append(peer.asked[-1] <= before)

    assert sum(found) >= 10
    assert 1 <= most <= 3


def test_calls_while_they_close(
    make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]
) -> None:
    """Whatever the peer closes in between, no call fails for it and none is sent twice."""
    peer = make_peer(60)
    upstream = reach(peer)
    for _ in range(10):
        renewed(peer, upstream)
        call(upstream)

    assert 20 == len(peer.asked)


def test_unasked_words(make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]) -> None:
    """A connection on which the peer spoke first is left: what it said is nobody's answer."""
    peer = make_peer(60)
    upstream = reach(peer)
    call(upstream)
    peer.greeting = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    peer.hang_up()
    eventually(lambda: len(peer.greeted) > 3)
    peer.greeting = b""
    eventually(lambda: idle(upstream) == len(peer.open - peer.greeted) == len(peer.open) > 0)

    assert b"{}" == call(upstream)


def test_none_before_the_first_call(
    make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]
) -> None:
    """What is asked without a key opens nothing beyond itself; with one, calls will follow."""
    peer = make_peer(60)
    upstream = reach(peer)
    upstream.get("/models", key=None)

    assert upstream._spares is not None
    assert upstream._spares._thread is None

    upstream.get("/credits", key=KEY)
    peer.hang_up()

    eventually(lambda: peer.shook_hands >= 2 and idle(upstream))


def test_given_up(
    make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long after the last call none is opened any more; the next call begins anew."""
    monkeypatch.setattr(spares, "_LATELY_S", 0.2)
    peer = make_peer(60)
    upstream = reach(peer)
    call(upstream)
    assert upstream._spares is not None
    eventually(lambda: upstream._spares._thread is None)  # type: ignore[union-attr]
    peer.hang_up()
    eventually(lambda: not peer.open)
    before = peer.shook_hands
    threading.Event().wait(5 * SOON_S)

    assert before == peer.shook_hands
    monkeypatch.setattr(spares, "_LATELY_S", 60)
    renewed(peer, upstream)


def test_nobody_there(
    make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody can be reached tries become rarer and rarer, and a call says what is wrong."""
    monkeypatch.setattr(spares, "_FIRST_REST_S", 0.05)
    peer = make_peer(60)
    upstream = reach(peer)
    call(upstream)
    peer.close()

    eventually(lambda: upstream._spares._rest_s >= 0.4)  # type: ignore[union-attr]

    with pytest.raises(GatewayError) as caught:
        call(upstream)
    assert "upstream_unreachable" == caught.value.code


def test_after_a_sleep(make_peer: Callable[[float], TlsPeer], reach: Callable[[TlsPeer], HttpUpstream]) -> None:
    """After the machine has slept the connections of before are left, and one is opened that is not of before."""
    peer = make_peer(60)
    upstream = reach(peer)
    call(upstream)
    eventually(lambda: idle(upstream) == len(peer.open))
    upstream._gap_s -= 3600
    lost = peer.shook_hands
    eventually(lambda: peer.shook_hands > lost and idle(upstream))

    call(upstream)
    assert peer.asked[-1] > lost


@pytest.mark.parametrize(
    ("ages", "life_s", "expected"),
    [
        ([], None, True),
        ([], 2.0, True),
        ([5.0], None, False),
        ([0.9], 2.0, False),
        ([1.1], 2.0, True),
        ([0.1, 1.1], 2.0, False),
        ([1.2, 1.9], 2.0, False),
    ],
)
def test_missing(ages: list[float], life_s: float | None, expected: bool) -> None:
    """One is enough where they last; where they do not, the second is opened in the middle of the first one's life."""
    assert expected is is_missing(ages, life_s)
