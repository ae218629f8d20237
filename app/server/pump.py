"""One thread that carries all running streams to their apps."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

_PARTS = 64
"""So many parts of one stream are carried before the others have their turn."""


class Flow(Protocol):
    """An answer that comes in parts."""

    def __next__(self) -> bytes:
        """The next part; empty where nothing has come yet. Raises StopIteration at the end."""
        ...

    def detach(self) -> int | None:
        """
        Wait for nothing from now on: the descriptor that becomes readable when there is more.

        None while parts must be waited for, or when all of them are there.
        """
        ...

    def close(self) -> None:
        """No more parts are wanted."""
        ...


class Outlet(Protocol):
    """The app's end of one stream."""

    def write(self, data: bytes) -> None:
        """Send these bytes as soon as the app takes them; raises when it has left."""
        ...

    def is_full(self) -> bool:
        """The app has so much to take that it is given no more; when that is over, it calls `Carried.go_on`."""
        ...

    def end(self, failure: Exception | None) -> None:
        """That was all, or all that there will be."""
        ...


class Pump:
    """
    Carries any number of streams in one thread, which is made for the first of them.

    With a thread each, the interpreter would be handed round for every event of every stream, and a few hundred streams
    would leave no time for anything else.
    """

    def __init__(self, on_failure: Callable[[Exception], None]) -> None:
        self._on_failure = on_failure
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._turns: deque[Carried] = deque()
        self._idle = threading.Condition()
        self._load = 0
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def carry(self, flow: Flow, outlet: Outlet, source: int) -> Carried:
        """What is left of the flow is carried from its first `go_on`; raises RuntimeError where there is no thread."""
        with self._idle:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="orgate-pump", daemon=True)
                thread.start()
                self._thread = thread
            self._load += 1
        return Carried(flow, outlet, source, self)

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until nothing is carried any more, or the time is up."""
        with self._idle:
            self._idle.wait_for(lambda: self._load == 0, timeout_s)

    def close(self) -> None:
        """Carry nothing any more; what is under way stays where it is."""
        self._is_closed = True
        self._ring()
        if self._thread is not None:
            self._thread.join(2)
        for each in (self._selector, self._bell, self._rope):
            each.close()

    def _take_turn(self, carried: Carried) -> None:
        self._turns.append(carried)
        self._ring()

    def _ring(self) -> None:
        # A pipe that is full has rung already, and one that is closed has nobody to wake.
        with contextlib.suppress(OSError):
            self._rope.send(b"\0")

    def _run(self) -> None:
        # Two functions: here nothing may keep a stream alive that is over.
        while not self._is_closed:
            self._wait()
            self._give_turns()

    def _wait(self) -> None:
        for key, _ in self._selector.select(0 if self._turns else None):
            if key.data is not None:
                self._turns.append(key.data)
            else:
                self._bell.recv(4096)

    def _give_turns(self) -> None:
        for _ in range(len(self._turns)):
            carried = self._turns.popleft()
            try:
                self._move(carried)
            except Exception as error:
                self._on_failure(error)

    def _move(self, carried: Carried) -> None:
        """Carry what has come, and see to it that there is another turn when more comes or more can be taken."""
        if carried.is_over:
            return
        if carried.waits_for_app():
            self._watch(carried, False)
            return
        try:
            has_more = carried.move()
            self._watch(carried, True)
        except Exception as failure:
            self._end(carried, None if isinstance(failure, StopIteration) else failure)
            return
        if has_more:
            self._turns.append(carried)

    def _watch(self, carried: Carried, wanted: bool) -> None:
        if carried.is_watched == wanted:
            return
        if wanted:
            self._selector.register(carried.source, selectors.EVENT_READ, carried)
        else:
            self._selector.unregister(carried.source)
        carried.is_watched = wanted

    def _end(self, carried: Carried, failure: Exception | None) -> None:
        carried.is_over = True
        try:
            # Before its descriptor is another's.
            self._watch(carried, False)
            carried.end(failure)
        finally:
            with self._idle:
                self._load -= 1
                if self._load == 0:
                    self._idle.notify_all()


class Carried:
    """One stream on its way."""

    def __init__(self, flow: Flow, outlet: Outlet, source: int, pump: Pump) -> None:
        self.source = source
        self.is_watched = False
        self.is_over = False
        self._flow = flow
        self._outlet = outlet
        self._pump = pump
        self._waits = False

    def go_on(self) -> None:
        """Carry it soon: it is new, its outlet can take more, or its app has left."""
        self._pump._take_turn(self)

    def outlet_moved(self) -> None:
        """Bytes have left the outlet, or it was closed."""
        if self._waits and not self._outlet.is_full():
            self.go_on()

    def waits_for_app(self) -> bool:
        """Whether its app must take some first."""
        self._waits = self._outlet.is_full()
        if self._waits and not self._outlet.is_full():
            # It moved before it could see that somebody waits for it.
            self._waits = False
        return self._waits

    def move(self) -> bool:
        """Bring the app what has come; whether there may be more. Raises StopIteration after the last part."""
        for _ in range(_PARTS):
            part = next(self._flow)
            if not part:
                return False
            self._outlet.write(part)
            if self._outlet.is_full():
                # The flow is asked again when it may bring more: until then no model is late.
                break
        return True

    def end(self, failure: Exception | None) -> None:
        """Let go of both ends."""
        try:
            self._flow.close()
        finally:
            self._outlet.end(failure)
