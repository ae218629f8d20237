"""Carries a call to OpenRouter and its answer back: bytes untouched, at once, and metered from a copy."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.core.calls import Call, CallReport
from app.core.errors import GatewayError, InsufficientCredits, Unavailable, UpstreamFailed
from app.core.meter import BrokenEvent, Reading, StreamMeter, read_plain
from app.core.money import dollars
from app.core.ports import Answer, Attempt, Clock, Events, Upstream, Vault
from app.core.refusals import from_error, refusal, status_of
from app.core.shapes import error_event
from app.core.sse import split
from app.services.credits import Credits

_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Delivery:
    """An answer on its way to the app."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes | Iterator[bytes]
    """All of it, or a stream that must be closed when the app leaves."""


@dataclass
class _Running:
    """A call that is under way and what is known of it."""

    call: Call
    attempt: Attempt
    waited_s: float = 0.0
    """Seconds spent waiting for OpenRouter."""
    first_byte_s: float | None = None
    reading: Reading = field(default_factory=Reading)


class Relay:
    """Sends calls, one attempt each, and keeps account of those that are running."""

    def __init__(self, *, upstream: Upstream, vault: Vault, clock: Clock, events: Events, credits: Credits) -> None:
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._events = events
        self._credits = credits
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._stopping = False

    def deliver(self, call: Call) -> Delivery:
        """The answer to a call; raises GatewayError when there is none."""
        run = self._begin(call)
        try:
            return self._stream(run) if call.stream else self._plain(run)
        except GatewayError as failure:
            error = self._seen_by_app(failure)
            if isinstance(error, InsufficientCredits):
                self._credits.doubtful()
            self._end(run, error.status, error.code)
            if error is failure:
                raise
            raise error from failure
        except BaseException:
            run.attempt.cancel()
            self._end(run, 500, "internal_error")
            raise

    def drain(self, grace_s: float) -> int:
        """Take no new calls, let the running ones finish for up to `grace_s` s, end the rest; how many those were."""
        with self._idle:
            self._stopping = True
            self._idle.wait_for(lambda: not self._running, grace_s)
            left = list(self._running.values())
        for run in left:
            run.attempt.cancel()
        with self._idle:
            self._idle.wait_for(lambda: not self._running, 2.0)
        return len(left)

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    def _begin(self, call: Call) -> _Running:
        key = self._vault.key()
        attempt = self._upstream.post(call.endpoint, call.body, call.headers, key=key, stream=call.stream)
        run = _Running(call, attempt)
        with self._lock:
            if self._stopping:
                raise Unavailable("The gateway is stopping.", code="stopping", retry_after_s=5, should_retry=True)
            self._running[call.id] = run
        self._events.debug("relay.sent", call_id=call.id, app=call.app, model=call.model, stream=call.stream)
        return run

    def _send(self, run: _Running) -> Answer:
        with self._waiting(run):
            answer = run.attempt.send()
        run.reading.generation_id = answer.headers.get("X-Generation-Id")
        if answer.status != 200:
            body = answer.read()
            raise refusal(answer.status, answer.headers, body, self._clock.now())
        return answer

    def _plain(self, run: _Running) -> Delivery:
        answer = self._send(run)
        with self._waiting(run):
            body = answer.read()
        run.first_byte_s = self._clock.monotonic() - run.call.started
        decoded, reading = read_plain(body)
        reading.generation_id = run.reading.generation_id or reading.generation_id
        run.reading = reading
        if decoded is None:
            raise _no_answer("upstream_protocol_error", "OpenRouter's answer is not JSON.", reading)
        if reading.error is not None:
            partial = {"partial": decoded["choices"]} if decoded.get("choices") else {}
            raise self._error_inside(reading, answer, partial)
        choices = decoded.get("choices")
        if not isinstance(choices, list):
            raise _no_answer("upstream_protocol_error", "OpenRouter's answer has no list of choices.", reading)
        if not choices:
            raise _no_answer("empty_answer", "The model gave no answer: the list of choices is empty.", reading)
        self._end(run, 200, "answered")
        return Delivery("application/json", self._headers(run), body)

    def _stream(self, run: _Running) -> Delivery:
        answer = self._send(run)
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith("text/event-stream"):
            decoded, run.reading = read_plain(answer.read())
            if decoded is not None and run.reading.error is not None:
                raise self._error_inside(run.reading, answer, {})
            message = f"OpenRouter was asked for a stream and sent {kind.partition(';')[0] or 'something else'}."
            raise _no_answer("upstream_protocol_error", message, run.reading)
        return Delivery("text/event-stream", self._headers(run), _Stream(self, run, answer))

    @contextmanager
    def _waiting(self, run: _Running) -> Iterator[None]:
        before = self._clock.monotonic()
        yield
        run.waited_s += self._clock.monotonic() - before

    def _error_inside(self, reading: Reading, answer: Answer, partial: Mapping[str, object]) -> GatewayError:
        error = reading.error if isinstance(reading.error, dict) else {"message": str(reading.error)}
        found = from_error(status_of(error), error, answer.headers, self._clock.now())
        found.should_retry = False
        if partial:
            found.metadata = {**(found.metadata or {}), **partial}
        return found

    def _seen_by_app(self, error: GatewayError) -> GatewayError:
        if self._stopping and error.code == "cancelled":
            return Unavailable("The gateway was stopped before the answer was whole.", code="stopping")
        return error

    def _headers(self, run: _Running) -> dict[str, str]:
        overhead_ms = (self._clock.monotonic() - run.call.started - run.waited_s) * 1000
        reading = run.reading
        cost = reading.usage.cost if reading.usage else None
        values = {
            "X-Generation-Id": reading.generation_id,
            "x-orgate-model": reading.model,
            "x-orgate-provider": reading.provider,
            "x-orgate-response-cost": dollars(cost) if cost is not None else None,
            "x-orgate-overhead-duration-ms": f"{overhead_ms:.2f}",
        }
        return {name: _header_safe(value) for name, value in values.items() if value}

    def _end(self, run: _Running, status: int, outcome: str) -> None:
        """Settle the call once: forget it, tell the sinks, take its cost off the balance."""
        with self._idle:
            if self._running.pop(run.call.id, None) is None:
                return
            if not self._running:
                self._idle.notify_all()
        call, reading = run.call, run.reading
        if outcome == "answered" and reading.usage is None:
            self._events.warn("relay.usage_missing", call_id=call.id, model=reading.model or call.model)
        report = CallReport(
            call_id=call.id,
            app=call.app,
            endpoint=call.endpoint,
            model=call.model,
            fallbacks=call.fallbacks,
            stream=call.stream,
            status=status,
            outcome=outcome,
            duration_s=self._clock.monotonic() - call.started,
            first_byte_s=run.first_byte_s,
            served_model=reading.model,
            provider=reading.provider,
            generation_id=reading.generation_id,
            usage=reading.usage,
        )
        self._events.call_ended(report)
        if reading.usage is not None and reading.usage.cost:
            self._credits.spent(reading.usage.cost)


class _Stream:
    """
    The events of a streamed answer as they come, each whole; closing it ends the call in every case.

    A cut answer ends with an error event and without [DONE]. One that said its finish_reason but not [DONE] is whole,
    and gets the [DONE] that clients wait for.
    """

    def __init__(self, relay: Relay, run: _Running, answer: Answer) -> None:
        self._relay = relay
        self._run = run
        self._answer = answer
        self._meter = StreamMeter()
        self._meter.reading.generation_id = run.reading.generation_id
        run.reading = self._meter.reading
        self._held = b""
        self._events = self._relayed()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        """The app has all of it, or has left: let go of OpenRouter."""
        self._events.close()
        self._answer.close()
        self._end(*((200, "answered") if self._meter.reading.whole else (499, "left")))

    def _relayed(self) -> Generator[bytes, None, None]:
        try:
            yield from self._untouched()
            reading = self._meter.reading
            if reading.error is not None:
                self._end(200, "error_in_stream")
                return
            if not reading.whole:
                raise _no_answer("stream_incomplete", "The answer broke off; it may have been billed.", reading)
            if not reading.done:
                yield _DONE
            self._end(200, "answered")
        except GatewayError as error:
            yield from self._broken(error)

    def _untouched(self) -> Iterator[bytes]:
        for chunk in self._answer.chunks():
            if self._run.first_byte_s is None:
                self._run.first_byte_s = self._relay._clock.monotonic() - self._run.call.started
            # Half an event is of no use to anyone, and after it no error event could be read.
            whole, self._held = split(self._held + chunk if self._held else chunk)
            self._read(chunk)
            if whole:
                yield whole
            if self._meter.reading.done:
                self._answer.finish()
                return
        if self._held:
            self._read(b"\n\n")
            yield self._held + b"\n\n"

    def _read(self, chunk: bytes) -> None:
        try:
            self._meter.feed(chunk)
        except BrokenEvent as error:
            raise _no_answer("upstream_protocol_error", f"OpenRouter sent {error}.", self._meter.reading) from error

    def _broken(self, error: GatewayError) -> Iterator[bytes]:
        reading = self._meter.reading
        if reading.whole:
            # Everything was said; only the connection's own end is missing.
            self._end(200, "answered")
            if not reading.done:
                yield _DONE
            return
        error = self._relay._seen_by_app(error)
        self._end(200, error.code)
        yield error_event(error, reading, int(self._relay._clock.now()))

    def _end(self, status: int, outcome: str) -> None:
        self._relay._end(self._run, status, outcome)


def _header_safe(value: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in value[:200])


def _no_answer(code: str, message: str, reading: Reading) -> UpstreamFailed:
    details = {"generation_id": reading.generation_id} if reading.generation_id else None
    return UpstreamFailed(message, code=code, details=details)
