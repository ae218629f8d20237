"""
waitress for this gateway: loopback on both families, one pump for running streams, a lane for short requests, a drain.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from app.server.channel import Channel
from app.server.loop import Loop, Open
from app.server.onecore import OneCore
from app.server.pump import Pump
from app.server.turns import Turns
from app.services.bulletin import READERS
from app.services.lanes import Lane

_log = logging.getLogger("orgate.server")

DRAIN_S = 10.0
_SIGNAL_S = 1.0
"""Within this time a signal is acted on that did not interrupt the main thread's wait."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONNECTIONS = 1024
_QUICK_THREADS = 8
_HEALTH_THREADS = 4
_REQUEST_S = 20.0
"""So long a request may take to come in, and a second more for every so many bytes of its body that did."""

_SLOWEST_UPLOAD = 50_000


class PortTaken(Exception):
    """Another program listens there; the message says which, where the system tells."""


class Lanes(ThreadedTaskDispatcher):
    """
    waitress's task dispatcher: calls (POST) in one lane, health in another, listeners to events in a third, the other
    short requests in a fourth, so that all of those answer while every call slot is taken. Threads are made when they
    are needed, and end when idle. A call comes to its lane when it is its turn; whoever has the turn is there already.
    """

    def __init__(self, calls: int) -> None:
        super().__init__()
        # A few more than there are slots: those say 503 at once instead of queueing.
        self._calls = Lane("orgate-call", calls + _QUICK_THREADS, _report)
        self._quick = Lane("orgate-quick", _QUICK_THREADS, _report)
        self._health = Lane("orgate-health", _HEALTH_THREADS, _report)
        # The last few say at once that there are too many.
        self._events = Lane("orgate-events", READERS + _HEALTH_THREADS, _report)
        self._turns = Turns(self._calls.add, _report)

    def add_task(self, channel: Any) -> None:  # waitress's channel has no types
        """Run the channel's oldest request soon."""
        request = channel.requests[0]
        # A head that cannot be parsed has neither; waitress answers it with its own 400.
        command, path = getattr(request, "command", ""), getattr(request, "path", "")
        if command == "POST":
            self._turns.add(channel.begin)
        else:
            self._lane(path).add(channel.service)

    def go_on(self) -> float | None:
        """See that no call keeps others waiting; the seconds after which to see to it again, None while none wait."""
        return self._turns.go_on()

    def _lane(self, path: str) -> Lane:
        if path.endswith("/events"):
            return self._events
        # Others of the short requests may wait for OpenRouter; whether the gateway is well must not wait for them.
        return self._health if path.endswith(("/health", "/healthz")) else self._quick

    def set_thread_count(self, count: int) -> None:
        """waitress's own sizing; the lanes have theirs."""

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """Threads are daemons and end with the process; the drain came before."""
        return True

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until nothing runs in any lane, or the time is up."""
        for lane in (self._calls, self._quick, self._health, self._events):
            lane.wait_idle(timeout_s)


def _report(error: Exception) -> None:
    _log.error("server.task_broke", exc_info=error)


class Server:
    """The gateway's listening sockets and their loop."""

    def __init__(
        self,
        application: Any,  # a WSGI callable
        host: str,
        port: int,
        *,
        calls: int,
        sockets: list[socket.socket] | None = None,
        before_accept: Callable[[int], None] | None = None,
        core: OneCore | None = None,
    ) -> None:
        """
        `sockets` listen already, for another process too; without them new ones do, on host and port.

        `before_accept` is told how many connections there are before another is taken, in the server's loop. `core` has
        the process stay on one core while it is busy.
        """
        self.sockets = sockets or listen(host, port)
        self.port: int = self.sockets[0].getsockname()[1]
        self.base_url = f"http://{_named(host)}:{self.port}"
        self._core = core
        self._map = Open()
        self._lanes = Lanes(calls)
        self._pump = Pump(_report)
        self._server = create_server(
            application,
            map=self._map,
            _dispatcher=self._lanes,
            sockets=self.sockets,
            asyncore_use_poll=True,
            channel_request_lookahead=1,
            channel_timeout=120,
            # The task leaves them out.
            clear_untrusted_proxy_headers=False,
            connection_limit=_CONNECTIONS,
            expose_tracebacks=False,
            ident=None,
            log_socket_errors=False,
            max_request_body_size=34 * 2**20,
            max_request_header_size=64 * 2**10,
            outbuf_high_watermark=2**20,
            outbuf_overflow=2 * 2**20,
        )
        # Their stubs are wrong about much.
        self._listeners: list[Any] = [one for one in self._map.values() if isinstance(one, BaseWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = functools.partial(Channel, self._pump)
            if before_accept is not None:
                listener.handle_accept = functools.partial(self._accept, listener.handle_accept, before_accept)
        self._loop_thread = threading.Thread(target=self._loop, name="orgate-loop", daemon=True)
        self._stop_asked = threading.Event()
        self._grace_s = DRAIN_S
        self._closing = False
        self._next_reap = 0.0
        self._unfinished: dict[Any, tuple[Any, float]] = {}

    def start(self) -> None:
        """Answer requests from now on, in threads of the server's own."""
        self._loop_thread.start()

    def close(self, drain: Callable[[float], int], grace_s: float = DRAIN_S) -> None:
        """Take no new connections, let `drain` end what runs within the grace, and see the last bytes off."""
        self._stop_listening()
        drain(grace_s)
        self._lanes.wait_idle(1)
        self._pump.wait_idle(1)
        self._flush()
        self._closing = True
        self._in_loop(None)
        self._loop_thread.join(2)
        self._pump.close()
        wasyncore.close_all(self._map)

    def stop_on_signals(self, *names: signal.Signals) -> None:
        """From now on each of these ends `run`, even before it has begun; a second one ends the process."""
        for name in names or (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)

    def stop(self, grace_s: float) -> None:
        """End `run`, from any thread, and give running answers so many seconds."""
        self._grace_s = grace_s
        self._stop_asked.set()

    def run(self, on_ready: Callable[[], None], drain: Callable[[float], int]) -> None:
        """Serve until a signal comes, then close."""
        self.start()
        on_ready()
        wait_for_signal(self._stop_asked)
        self.close(drain, self._grace_s)

    def _on_signal(self, *_: object) -> None:
        if self._stop_asked.is_set():
            os._exit(130)
        self._stop_asked.set()

    def _loop(self) -> None:
        loop = Loop(self._map)
        try:
            while not self._closing:
                again_s = self._lanes.go_on()
                loop.turn(1.0 if again_s is None else again_s)
                self._reap(time.monotonic())
                if self._core is not None:
                    self._core.look()
        finally:
            self._stop_asked.set()

    def _reap(self, now: float) -> None:
        """Once a second: close connections whose request has been coming in for too long (slow on purpose, or dead)."""
        if now < self._next_reap:
            return
        self._next_reap = now + 1.0
        unfinished: dict[Any, tuple[Any, float]] = {}
        for channel in [one for one in list(self._map.values()) if isinstance(one, Channel)]:
            request = channel.request
            if request is None or channel.requests:
                continue
            known, since = self._unfinished.get(channel, (None, now))
            since = since if known is request else now
            unfinished[channel] = (request, since)
            if now - since > _REQUEST_S + getattr(request, "body_bytes_received", 0) / _SLOWEST_UPLOAD:
                channel.will_close = True
                channel.doubt()
        self._unfinished = unfinished

    def _accept(self, accept: Callable[[], None], before: Callable[[int], None]) -> None:
        before(sum(len(listener.active_channels) for listener in self._listeners))
        accept()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            self._in_loop(functools.partial(wasyncore.dispatcher.close, listener))

    def _flush(self) -> None:
        """Give the last bytes of ended answers a moment to leave."""
        pause = threading.Event()
        for _ in range(20):
            if not any(getattr(channel, "total_outbufs_len", 0) for channel in list(self._map.values())):
                return
            pause.wait(0.05)

    def _in_loop(self, work: Callable[[], None] | None) -> None:
        """Wake the loop and have its thread do this: a socket must not be closed while it is being polled."""
        self._listeners[0].trigger.pull_trigger(work)


def wait_for_signal(ended: threading.Event) -> None:
    """
    Wait, in the main thread, until a signal's handler has set the event.

    Handlers run in this thread only, and a signal that came just before a wait does not interrupt it: one without an
    end would go on forever.
    """
    while not ended.wait(_SIGNAL_S):
        """Not yet."""


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach this address."""
    return host in _LOOPBACK or host.startswith("127.")


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on the host; for 127.0.0.1 on ::1 as well, so that nobody else answers to "localhost" there."""
    hosts = ["127.0.0.1", "::1"] if host in _LOOPBACK else [host]
    sockets: list[socket.socket] = []
    for name in hosts:
        try:
            opened = _listener(name, port)
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and sockets:
                continue  # this machine has no IPv6
            for other in sockets:
                other.close()
            raise PortTaken(_why(name, port, error)) from error
        sockets.append(opened)
        port = opened.getsockname()[1]
    return sockets


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let another program take the port over.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_CONNECTIONS)
        return listener
    except BaseException:
        listener.close()
        raise


def _named(host: str) -> str:
    if host in _LOOPBACK or host in ("0.0.0.0", "::"):  # noqa: S104 the name to call such a listener by from here
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder else " by another program"
        return f"Port {port} is taken{by}. Stop it, or choose another port with --port (0 picks a free one)."
    if error.errno == errno.EACCES:
        return f"Port {port} needs rights that this user lacks. Choose one above 1023 with --port."
    return f"Cannot listen on {host}, port {port}: {error.strerror}. Check ORGATE_HOST."


def holder_of(port: int) -> str | None:
    """The program that listens on a local port, as "name (pid 42)"; None where the system does not tell."""
    inodes = _listening_inodes(port)
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            for descriptor in (folder / "fd").iterdir():
                if descriptor.readlink().name in inodes:
                    name = (folder / "comm").read_text().strip()
                    return f"{name} (pid {folder.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    return inodes
