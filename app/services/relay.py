"""Carries a call to OpenRouter and its answer back: bytes untouched, at once, and metered from a copy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from app.core.calls import Call, CallReport
from app.core.errors import GatewayError, Unavailable
from app.core.frozen import frozen
from app.core.meter import Reading
from app.core.money import dollars
from app.core.pauses import EVERYBODY, ended, paused
from app.core.ports import Clock, Events, Pauses, Peer
from app.core.shared import Nobody, Others, Storybook
from app.services.answers import Opened, Plain
from app.services.company import Company
from app.services.holds import Holds
from app.services.pursuit import Pursuit
from app.services.run import Clocks, Run, stopping
from app.services.stream import Stream
from app.services.watch import Watch


class Parts(Protocol):
    """A streamed answer, part by part."""

    def __next__(self) -> bytes:
        """The next whole events; raises StopIteration after the last ones."""
        ...

    def detach(self) -> int | None:
        """
        Wait for nothing from now on, parts are empty where nothing has come yet: the descriptor to watch.

        None where that cannot be, or all of the answer is there.
        """
        ...

    def close(self) -> None:
        """The app has all of it, or has left."""
        ...


@frozen
class Delivery:
    """An answer on its way to the app."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes | Parts
    """All of it, or a stream that must be closed when the app leaves."""


@frozen
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
        holds: Holds,
        stories: Storybook,
        pauses: Pauses,
        others: Others | None = None,
    ) -> None:
        self._pursuit = pursuit
        self._patience = patience
        self._clock = clock
        self._events = events
        self._holds = holds
        self._stories = stories
        self._pauses = pauses
        self._others = others or Nobody()
        self._watch = Watch(events)
        self._running: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._stopping = False

    def deliver(self, call: Call, peer: Peer) -> Delivery:
        """The answer to a call; raises GatewayError when there is none."""
        run = Run(call, peer, self._clocks(call), self._clock)
        self._begin(run)
        try:
            self._watch.add(run)
            return self._stream(run) if call.stream else self._plain(run)
        except GatewayError as error:
            error.begun = run.begun
            self._end(run, error.status, error.code)
            raise
        except BaseException:
            run.end(stopping())
            self._end(run, 500, "internal_error")
            raise

    def again(self, call: Call, peer: Peer, answer: Delivery, reading: Reading) -> Delivery:
        """An answer that there is already, for a call that is taken and told of like any other; raises GatewayError."""
        run = Run(call, peer, self._clocks(call), self._clock)
        self._begin(run)
        run.reading = reading
        headers = self._whole(run)
        return replace(answer, headers={**headers, **answer.headers})

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

    def pause(self, app: str) -> int:
        """
        Take no more calls of this app (or of EVERYBODY) and end those that run; how many those were.

        Raises Unavailable when the pause cannot be written down; what runs is ended all the same.
        """
        try:
            self._pauses.pause(app)
        finally:
            ended_now = self.end_running(app, paused)
            self._events.note("app.paused", app=app, ended=ended_now)
        return ended_now

    def resume(self, app: str) -> None:
        """Take its calls again; EVERYBODY lifts every pause."""
        self._pauses.resume(app)
        self._events.note("app.resumed", app=app)

    def end_running(self, app: str, why: Callable[[str], GatewayError] = ended) -> int:
        """End the running calls of this app (or of EVERYBODY), which are told why; how many those were."""
        with self._lock:
            running = [run for run in self._running.values() if app in (run.call.app, EVERYBODY)]
        for run in running:
            run.end(why(run.call.app))
        return len(running) + self._others.end_running(app, paused=why is paused)

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
        with self._lock:
            if self._stopping:
                raise Unavailable("The gateway is stopping.", code="stopping", retry_after_s=5, should_retry=True)
            if self._pauses.paused() & {run.call.app, EVERYBODY}:
                raise paused(run.call.app)
            self._running[run.call.id] = run

    def _plain(self, run: Run) -> Delivery:
        answer = self._pursuit.answer(run)
        assert isinstance(answer, Plain)
        return Delivery("application/json", self._whole(run), answer.body)

    def _whole(self, run: Run) -> dict[str, str]:
        """The answer is there, all of it: the call is over. The headers that it goes out with."""
        run.first_byte_s = self._clock.monotonic() - run.call.started
        headers = self._headers(run)
        self._end(run, 200, "answered")
        return headers

    def _stream(self, run: Run) -> Delivery:
        company = run.company = Company(run.peer.begin, lambda: self._headers(run), self._clock)
        try:
            found: Opened | GatewayError = self._opened(run)
        except GatewayError as error:
            if not company.leave():
                raise
            # It has its status: the failure is told as the stream's end.
            error.forget()
            found = error
        finally:
            # Whatever happened: from here on only this thread answers.
            company.leave()
        stream = Stream(run, found, self._clock, self._end)
        return Delivery("text/event-stream", self._headers(run), stream)

    def _opened(self, run: Run) -> Opened:
        found = self._pursuit.answer(run)
        assert isinstance(found, Opened)
        return found

    def _headers(self, run: Run) -> dict[str, str]:
        """What is known of the answer when its headers go out."""
        overhead_ms = (self._clock.monotonic() - run.call.started - run.waited_s) * 1000
        reading = run.reading
        cost = reading.usage.cost if reading.usage else None
        distinct = len(set(run.asked))
        headers = {
            "x-orgate-overhead-duration-ms": f"{max(0.0, overhead_ms):.2f}",
            "x-orgate-attempted-fallbacks": str(max(0, distinct - 1)),
            "x-orgate-attempted-retries": str(len(run.asked) - distinct),
        }
        if reading.generation_id:
            headers["X-Generation-Id"] = _header_safe(reading.generation_id)
        if reading.model:
            headers["x-orgate-model"] = _header_safe(reading.model)
        if reading.provider:
            headers["x-orgate-provider"] = _header_safe(reading.provider)
        if cost is not None:
            headers["x-orgate-response-cost"] = dollars(cost)
        if run.call.recall is not None:
            headers["x-orgate-cache"] = run.call.recall.found
        return headers

    def _end(self, run: Run, status: int, outcome: str) -> None:
        """Settle the call once: forget it, write down what it cost, tell the sinks."""
        with self._lock:
            if self._running.pop(run.call.id, None) is None:
                return
            if self._stopping and not self._running:
                self._idle.notify_all()
        self._watch.remove(run)
        if outcome == "answered" and run.reading.usage is None:
            self._events.warn("relay.usage_missing", call_id=run.call.id, model=run.reading.model or run.call.model)
        report = self._report(run, status, outcome)
        hold = run.report()
        if hold is not None:
            self._pursuit.over(run, outcome)
            self._holds.ended(hold, report, run.reading)
        self._stories.keep(report)
        self._events.call_ended(report)

    def _report(self, run: Run, status: int, outcome: str) -> CallReport:
        call, reading = run.call, run.reading
        return CallReport(
            call_id=call.id,
            app=call.app,
            endpoint=call.endpoint,
            model=call.model,
            fallbacks=call.plan.models[1:],
            agent=call.agent,
            recall=call.recall,
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
            overhead_s=None if run.first_byte_s is None else max(0.0, run.first_byte_s - run.waited_s),
        )


def _header_safe(value: str) -> str:
    if len(value) <= 200 and value.isascii() and value.isprintable():
        return value
    return "".join(character if " " <= character <= "~" else "?" for character in value[:200])
