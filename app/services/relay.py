"""Carries a call to OpenRouter and its answer back: bytes untouched, at once, and metered from a copy."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

from app.core.calls import Call, CallReport
from app.core.errors import GatewayError, Left, Unavailable
from app.core.meter import parse
from app.core.money import dollars
from app.core.ports import Clock, Events, Peer
from app.core.shapes import error_event
from app.core.sse import SseDecoder
from app.services.credits import Credits
from app.services.lanes import Lane
from app.services.pursuit import Opened, Plain, Pursuit, broken_off, more, stated
from app.services.run import Clocks, Run, stopping
from app.services.stories import Stories
from app.services.watch import Watch

HOLD_S = 10.0
"""So long a stream's headers are held back, so that a failure can still be a real status."""

_KEEP_ALIVE_S = 5.0
_KEEP_ALIVE = b": orgate is waiting for the model\n\n"
_DONE = b"data: [DONE]\n\n"
_DONE_LINE = re.compile(rb"^data: ?\[DONE\]", re.MULTILINE)


@dataclass(frozen=True)
class Delivery:
    """An answer on its way to the app."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes | Iterator[bytes]
    """All of it, or a stream that must be closed when the app leaves."""


@dataclass(frozen=True)
class Patience:
    """The settings' clocks, in seconds; what a call wishes goes before them."""

    plain: float
    first_content: float
    idle: float
    idle_with_others: float
    """Inside an answer that could still be replaced: with a chain, or delivered whole."""
    total: float


class Relay:
    """Takes calls, and keeps account of those that are running."""

    def __init__(
        self,
        *,
        pursuit: Pursuit,
        patience: Patience,
        clock: Clock,
        events: Events,
        credits: Credits,
        stories: Stories,
        calls: int,
    ) -> None:
        self._pursuit = pursuit
        self._patience = patience
        self._clock = clock
        self._events = events
        self._credits = credits
        self._stories = stories
        self._watch = Watch(events)
        self._lane = Lane("orgate-pursuit", calls, lambda error: events.broke("relay.broke", error))
        self._running: dict[str, Run] = {}
        self._idle = threading.Condition()
        self._stopping = False

    def deliver(self, call: Call, peer: Peer) -> Delivery:
        """The answer to a call; raises GatewayError when there is none."""
        run = Run(call, peer, self._clocks(call), self._clock)
        self._begin(run)
        try:
            return self._stream(run) if call.stream else self._plain(run)
        except GatewayError as error:
            self._end(run, error.status, error.code)
            raise
        except BaseException:
            run.end(stopping())
            self._end(run, 500, "internal_error")
            raise

    def drain(self, grace_s: float) -> int:
        """Take no new calls, let the running ones finish for up to `grace_s` s, end the rest; how many those were."""
        with self._idle:
            self._stopping = True
            self._idle.wait_for(lambda: not self._running, grace_s)
            left = list(self._running.values())
        for run in left:
            run.end(stopping())
        with self._idle:
            self._idle.wait_for(lambda: not self._running, 2.0)
        return len(left)

    def _clocks(self, call: Call) -> Clocks:
        wishes, patience = call.wishes, self._patience
        others = wishes.whole or call.plan.is_chain
        return Clocks(
            plain=patience.plain,
            first_content=wishes.first_content_s or patience.first_content,
            idle=wishes.idle_s or (patience.idle_with_others if others else patience.idle),
            total=wishes.total_s or patience.total,
        )

    def _begin(self, run: Run) -> None:
        with self._idle:
            if self._stopping:
                raise Unavailable("The gateway is stopping.", code="stopping", retry_after_s=5, should_retry=True)
            self._running[run.call.id] = run
        self._watch.add(run)

    def _plain(self, run: Run) -> Delivery:
        answer = self._pursuit.answer(run)
        assert isinstance(answer, Plain)
        run.first_byte_s = self._clock.monotonic() - run.call.started
        headers = self.headers(run)
        self._end(run, 200, "answered")
        return Delivery("application/json", headers, answer.body)

    def _stream(self, run: Run) -> Delivery:
        search = _Search(self._pursuit, run)
        self._lane.add(search.go)
        found = search.result(HOLD_S)
        return Delivery("text/event-stream", self.headers(run), _Stream(self, run, search, found))

    def headers(self, run: Run) -> dict[str, str]:
        """What is known of the answer when its headers go out."""
        overhead_ms = (self._clock.monotonic() - run.call.started - run.waited_s) * 1000
        reading = run.reading
        cost = reading.usage.cost if reading.usage else None
        distinct = len(set(run.asked))
        values = {
            "X-Generation-Id": reading.generation_id,
            "x-orgate-model": reading.model,
            "x-orgate-provider": reading.provider,
            "x-orgate-response-cost": dollars(cost) if cost is not None else None,
            "x-orgate-overhead-duration-ms": f"{max(0.0, overhead_ms):.2f}",
            "x-orgate-attempted-fallbacks": str(distinct - 1),
            "x-orgate-attempted-retries": str(len(run.asked) - distinct),
        }
        return {name: _header_safe(value) for name, value in values.items() if value}

    def _end(self, run: Run, status: int, outcome: str) -> None:
        """Settle the call once: forget it, tell the sinks, take its cost off the balance."""
        with self._idle:
            if self._running.pop(run.call.id, None) is None:
                return
            if not self._running:
                self._idle.notify_all()
        self._watch.remove(run)
        if outcome == "answered" and run.reading.usage is None:
            self._events.warn("relay.usage_missing", call_id=run.call.id, model=run.reading.model or run.call.model)
        report = self._report(run, status, outcome)
        self._stories.keep(report)
        self._events.call_ended(report)
        if report.usage is not None and report.usage.cost:
            self._credits.spent(report.usage.cost)

    def _report(self, run: Run, status: int, outcome: str) -> CallReport:
        call, reading = run.call, run.reading
        return CallReport(
            call_id=call.id,
            app=call.app,
            endpoint=call.endpoint,
            model=call.model,
            fallbacks=call.plan.models[1:],
            stream=call.stream,
            status=status,
            outcome=outcome,
            duration_s=self._clock.monotonic() - call.started,
            first_byte_s=run.first_byte_s,
            attempts=run.told(status, outcome),
            served_model=reading.model,
            provider=reading.provider,
            generation_id=reading.generation_id,
            usage=reading.usage,
        )


class _Search:
    """A pursuit in a thread of its own, so that the app can be kept company meanwhile."""

    def __init__(self, pursuit: Pursuit, run: Run) -> None:
        self._pursuit = pursuit
        self._run = run
        self._over = threading.Event()
        self._found: Opened | None = None
        self._error: BaseException | None = None

    def go(self) -> None:
        """Do it; the outcome is in `result`."""
        try:
            found = self._pursuit.answer(self._run)
            assert isinstance(found, Opened)
            self._found = found
        except BaseException as error:
            self._error = error
        finally:
            self._over.set()

    def result(self, wait_s: float) -> Opened | None:
        """What was found, or None when it takes longer; raises what the pursuit raised."""
        if not self._over.wait(wait_s):
            return None
        if self._error is not None:
            raise self._error
        return self._found

    def drop(self) -> None:
        """Nobody wants it any more; what was or will be found is closed."""
        self._over.wait(2)
        if self._found is not None:
            self._found.answer.close()


class _Stream:
    """
    The events of a streamed answer as they come, each whole; closing it ends the call in every case.

    Before the first content comes the app hears comments. A cut answer ends with an error event and without [DONE].
    One that said its finish_reason but not [DONE] is whole, and gets the [DONE] that clients wait for.
    """

    def __init__(self, relay: Relay, run: Run, search: _Search, found: Opened | None) -> None:
        self._relay = relay
        self._run = run
        self._search = search
        self._found = found
        self._events = self._relayed()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        """The app has all of it, or has left: let go of OpenRouter."""
        self._events.close()
        if self._run.reading.whole:
            self._end(200, "answered")
        else:
            self._run.end(Left("The app closed the connection."))
            self._end(499, "left")
        self._search.drop()

    def _relayed(self) -> Generator[bytes, None, None]:
        try:
            while self._found is None:
                yield _KEEP_ALIVE
                self._found = self._search.result(_KEEP_ALIVE_S)
            self._run.first_byte_s = self._relay._clock.monotonic() - self._run.call.started
            if self._found.ready:
                yield self._found.ready
            yield from self._rest(self._found)
            reading = self._run.reading
            if reading.error is not None:
                self._end(200, "error_in_stream")
                return
            if not reading.whole:
                raise broken_off(self._run)
            if not reading.done:
                yield _DONE
            self._end(200, "answered")
        except GatewayError as error:
            yield from self._broken(self._run.seen(error))

    def _rest(self, found: Opened) -> Iterator[bytes]:
        """What follows the first content, untouched; what only a choice calls an error is told where SDKs look."""
        reading, told = self._run.reading, False
        try:
            for events in more(self._run, found):
                if reading.error is None:
                    yield events
                    continue
                told = told or _tells_error(events)
                last_words = events if told else _DONE_LINE.split(events)[0]
                if last_words:
                    yield last_words
        except GatewayError:
            if reading.error is None or self._run.is_over:
                raise
        if reading.error is not None and not told:
            # It stood inside a choice, where SDKs do not look: they would take the answer for a whole one.
            now = self._relay._clock.now()
            yield error_event(stated(self._run, found.answer, now)[1], reading, int(now))

    def _broken(self, error: GatewayError) -> Iterator[bytes]:
        reading = self._run.reading
        if reading.whole:
            # Everything was said; only the connection's own end is missing.
            self._end(200, "answered")
            if not reading.done:
                yield _DONE
            return
        self._end(*((499, "left") if isinstance(error, Left) else (200, error.code)))
        yield error_event(error, reading, int(self._relay._clock.now()))

    def _end(self, status: int, outcome: str) -> None:
        self._run.relax()
        self._relay._end(self._run, status, outcome)


def _tells_error(events: bytes) -> bool:
    return any(isinstance(event := parse(data), dict) and event.get("error") for data in SseDecoder().feed(events))


def _header_safe(value: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in value[:200])
