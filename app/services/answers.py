"""What an attempt brought: an answer, a stream that has begun, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.core import verdict
from app.core.attempts import Cause
from app.core.errors import GatewayError, Json, UpstreamFailed
from app.core.frozen import frozen
from app.core.meter import BrokenEvent, Reading, StreamMeter, parse
from app.core.ports import Answer, Attempt, Clock
from app.core.refusals import from_error, refusal, status_of
from app.core.sse import head, split
from app.services.run import Run

_MOST_KEPT = 64 * 2**20
_UNBILLED_BEFORE_CONTENT = (Cause.BUSY, Cause.BROKEN, Cause.UNSENT, Cause.MODEL)
_LAST_WORDS_S = 2.0
"""So long the usage and the last word may take after the finish_reason."""

_END_S = 0.05
"""So long the end of the body may take after the last word."""


@frozen
class Plain:
    """A whole plain answer."""

    body: bytes


@dataclass
class Opened:
    """A stream whose first content is there: what was read of it, and where the rest comes from."""

    answer: Answer
    meter: StreamMeter
    ready: bytes
    """Whole events, to be sent first."""
    held: bytes
    """The beginning of the next one."""


Success = Plain | Opened


class Failure(Exception):
    """An attempt gave no answer."""

    def __init__(self, cause: Cause, error: GatewayError) -> None:
        super().__init__(error.message)
        self.cause = cause
        self.error = error


class Reader:
    """Reads answers, and judges them as it goes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self, run: Run, attempt: Attempt, identified: Callable[[str], None]) -> Success:
        """
        The answer to one attempt: all of it, or a stream up to its first content; raises Failure.

        `identified` is told OpenRouter's id of the generation as soon as it is known.
        """
        try:
            answer = attempt.send(lambda headers_s: self._sent(run, headers_s), run.peer.waits)
            try:
                return self._answered(run, answer, identified)
            except BaseException:
                # What was not read never will be: OpenRouter sees the connection close before anything else is tried.
                answer.close()
                raise
        except GatewayError as raised:
            error = run.seen(raised)
            cause = Cause.LEFT if run.is_over else verdict.of_failure(error, attempt.phase)
            raise Failure(cause, error) from raised

    def _sent(self, run: Run, headers_s: float) -> None:
        """The request is out: its headers are due, and the first content, for which headers are no excuse."""
        first_s = _first_content_s(run)
        run.sent()
        run.expect(min(headers_s, first_s), "upstream_silent" if first_s < headers_s else "outcome_unknown")

    def _answered(self, run: Run, answer: Answer, identified: Callable[[str], None]) -> Success:
        run.reading.generation_id = answer.headers.get("X-Generation-Id")
        if answer.status != 200:
            body = answer.read()
            raise self._refused(answer, body)
        if run.reading.generation_id is not None:
            identified(run.reading.generation_id)
        if not run.call.stream:
            # White space keeps the connection alive meanwhile; the first content of a plain answer is all of it.
            run.expect(min(run.left_of(_first_content_s(run)), run.clocks.plain), "outcome_unknown")
            return self._plain(run, answer)
        run.expect(run.left_of(_first_content_s(run)), "upstream_silent")
        return self._opened(run, answer)

    def _refused(self, answer: Answer, body: bytes) -> Failure:
        error = refusal(answer.status, answer.headers, body, self._clock.now())
        told = parse(body)
        worded = isinstance(told, dict) and bool(told.get("error"))
        return Failure(verdict.of_refusal(answer.status, error, worded=worded), error)

    def _plain(self, run: Run, answer: Answer) -> Plain:
        body = answer.read()
        decoded = run.call.style.read_plain(run.reading, body)
        if decoded is None:
            raise Failure(Cause.LOST, _no_answer("upstream_protocol_error", "OpenRouter's answer is not JSON.", run))
        self._refuse_errors(run, answer, decoded)
        said = run.call.style.said(decoded)
        if said is None:
            error = _no_answer("upstream_protocol_error", "OpenRouter's answer is none of this API style.", run)
            raise Failure(Cause.LOST, error)
        if not said and not run.call.style.may_say_nothing:
            raise Failure(Cause.EMPTY, _no_answer("empty_answer", "The model gave no answer.", run))
        if run.call.plan.is_chain and not run.reading.has_content:
            raise Failure(Cause.EMPTY, _no_answer("empty_answer", "The model's answer is empty.", run))
        return Plain(body)

    def _opened(self, run: Run, answer: Answer) -> Opened:
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith("text/event-stream"):
            return self._unstreamed(run, answer, kind)
        meter = run.call.style.meter(run.call.body)
        meter.reading.generation_id = run.reading.generation_id
        run.reading = meter.reading
        opened = Opened(answer, meter, b"", b"")
        for chunk in answer.chunks():
            self._take(run, opened, chunk)
            if meter.reading.error is not None:
                self._refuse_errors(run, answer, {})
            if meter.reading.has_content or meter.reading.done:
                break
        else:
            self._take(run, opened, b"\n\n" if opened.held else b"")
        self._refuse_errors(run, answer, {})
        if not meter.reading.has_content:
            self._refuse_empty(run)
        if run.call.wishes.whole:
            self._rest(run, opened)
        return opened

    def _rest(self, run: Run, opened: Opened) -> None:
        """Read on to the end: the app hears nothing of an answer that does not get there."""
        reading = opened.meter.reading
        parts, size = [opened.ready], len(opened.ready)
        try:
            for part in more(run, opened):
                parts.append(part)
                size += len(part)
                if size > _MOST_KEPT:
                    raise _no_answer("upstream_too_large", "OpenRouter's answer is larger than 64 MiB.", run)
        except GatewayError:
            # What came after its last word, or after an error, does not change what was said.
            if run.is_over or size > _MOST_KEPT or not (reading.whole or reading.error is not None):
                raise
        opened.ready = b"".join(parts)
        self._refuse_errors(run, opened.answer, {})
        if not reading.whole:
            raise Failure(Cause.LOST, broken_off(run))

    def _take(self, run: Run, opened: Opened, chunk: bytes) -> None:
        before = opened.meter.reading.events
        try:
            opened.meter.feed(chunk)
        except BrokenEvent as error:
            message = f"OpenRouter sent {error}."
            raise Failure(Cause.LOST, _no_answer("upstream_protocol_error", message, run)) from error
        whole, opened.held = split(opened.held + chunk)
        opened.ready += head(whole, opened.meter.reading.events - before) if opened.meter.reading.done else whole

    def _refuse_empty(self, run: Run) -> None:
        if run.reading.finish_reason is None and not run.reading.done:
            raise Failure(Cause.LOST, broken_off(run))
        if run.call.plan.is_chain or run.reading.finish_reason is None:
            raise Failure(Cause.EMPTY, _no_answer("empty_answer", "The model's answer is empty.", run))

    def _unstreamed(self, run: Run, answer: Answer, kind: str) -> Opened:
        """A stream was asked for and one JSON answer came: it is given as the stream it should have been."""
        style = run.call.style
        decoded = style.read_plain(run.reading, answer.read())
        if decoded is not None:
            self._refuse_errors(run, answer, decoded)
        stream = style.as_stream(decoded) if decoded is not None and style.said(decoded) else None
        if stream is None:
            message = f"OpenRouter was asked for a stream and sent {kind.partition(';')[0] or 'something else'}."
            raise Failure(Cause.LOST, _no_answer("upstream_protocol_error", message, run))
        meter = style.meter({})
        meter.feed(stream)
        meter.reading.generation_id = run.reading.generation_id
        run.reading = meter.reading
        if not meter.reading.has_content:
            self._refuse_empty(run)
        return Opened(answer, meter, stream, b"")

    def _refuse_errors(self, run: Run, answer: Answer, decoded: dict[str, Json]) -> None:
        """An error inside a 200 is a failure by its code; what came of the answer beside it is kept for the app."""
        reading = run.reading
        if reading.error is None:
            return
        status, error = stated(run, answer, self._clock.now())
        said = run.call.style.said(decoded)
        if said:
            error.metadata = {**(error.metadata or {}), "partial": said}
        cause = verdict.of_refusal(status, error, worded=True)
        if cause in (Cause.REQUEST, Cause.KEY):
            # OpenRouter had taken the request and our key: it is what this model's provider says.
            cause = Cause.MODEL
        if (said or reading.has_content) and cause in _UNBILLED_BEFORE_CONTENT:
            # Something was made, and so may be billed.
            cause = Cause.LOST
        raise Failure(cause, error)


def more(run: Run, opened: Opened) -> Iterator[bytes]:
    """
    The events that follow the first content, each whole, as they come; raises GatewayError where they break.

    Of an answer that is detached a part is empty where nothing has come yet.
    """
    reading = opened.meter.reading
    if reading.done:
        yield from _end_of(run, opened.answer)
        return
    seen = _state(reading)
    _expect_more(run, seen)
    for chunk in opened.answer.chunks():
        if not chunk:
            yield b""
            continue
        # Half an event is of no use to anyone, and after it no error event could be read.
        whole, held = split(opened.held + chunk if opened.held else chunk)
        before = reading.events
        try:
            opened.meter.feed(chunk)
        except BrokenEvent as error:
            good = head(whole, reading.events - before - 1)
            if good:
                yield good
            raise _no_answer("upstream_protocol_error", f"OpenRouter sent {error}.", run) from error
        opened.held = held
        if opened.meter.reading.done:
            # What follows [DONE] is no part of the answer.
            yield head(whole, reading.events - before)
            yield from _end_of(run, opened.answer)
            return
        state = _state(reading)
        if state != seen:
            seen = state
            _expect_more(run, state)
        if whole:
            # A slow app is no silent model.
            run.stop_clock()
            yield whole
            run.start_clock()
    held, opened.held = opened.held, b""
    if held:
        try:
            opened.meter.feed(b"\n\n")
        except BrokenEvent as error:
            raise broken_off(run) from error
        yield held + b"\n\n"


def _end_of(run: Run, answer: Answer) -> Iterator[bytes]:
    """Take the end of a body whose last word was read, so that the connection can carry the next call."""
    run.expect(_END_S, "upstream_stalled")
    with suppress(GatewayError):
        for chunk in answer.chunks():
            if chunk:
                return
            yield b""


def _state(reading: Reading) -> tuple[int, bool]:
    """How much of use has come, and whether only the last words can follow: after a whole answer or an error."""
    return reading.progress, reading.whole or reading.error is not None


def _expect_more(run: Run, state: tuple[int, bool]) -> None:
    """Start the clock for what follows; last words follow at once."""
    _, over = state
    run.expect(_LAST_WORDS_S if over else run.clocks.idle, "upstream_stalled")


def _first_content_s(run: Run) -> float:
    """When the first content is due, in seconds after the request was sent; of a plain answer that is all of it."""
    if run.call.stream:
        return run.clocks.first_content
    return run.call.wishes.first_content_s or float("inf")


def stated(run: Run, answer: Answer, now: float) -> tuple[int, GatewayError]:
    """The error that stood in the answer itself, with its status; only where one did."""
    error = run.reading.error
    told = error if isinstance(error, dict) else {"message": str(error)}
    return status_of(told), from_error(status_of(told), told, answer.headers, now)


def broken_off(run: Run) -> GatewayError:
    """A stream that ended without saying that it ended."""
    return _no_answer("stream_incomplete", "The answer broke off; it may have been billed.", run)


def _no_answer(code: str, message: str, run: Run) -> UpstreamFailed:
    generation_id = run.reading.generation_id
    return UpstreamFailed(message, code=code, details={"generation_id": generation_id} if generation_id else None)
