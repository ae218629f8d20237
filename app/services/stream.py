"""A streamed answer on its way to the app, from its first content to the last event."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator

from app.core.errors import GatewayError, Left
from app.core.meter import parse
from app.core.ports import Clock
from app.core.sse import SseDecoder
from app.services.answers import Opened, broken_off, more, stated
from app.services.run import Run

_DONE_LINE = re.compile(rb"(?:\A|(?<=[\r\n]))data: ?\[DONE\]")


class Stream:
    """
    The events of a streamed answer as they come, each whole; closing it ends the call in every case.

    A cut answer ends with an error event of its API style and without that style's closing event or [DONE]. One that
    said how it finished but not [DONE] is whole, and gets the [DONE] that clients wait for.
    """

    def __init__(
        self, run: Run, found: Opened | GatewayError, clock: Clock, ended: Callable[[Run, int, str], None]
    ) -> None:
        """`found` is the answer from its first content on, or why there is none."""
        self._clock = clock
        self._ended = ended
        self._run = run
        self._style = run.call.style
        self._found = found
        self._events = self._relayed()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def detach(self) -> int | None:
        """
        Wait for nothing from now on, parts are empty where nothing has come yet: the descriptor to watch.

        None when all of the answer is there.
        """
        found = self._found
        return None if isinstance(found, GatewayError) or found.meter.reading.done else found.answer.detach()

    def close(self) -> None:
        """The app has all of it, or has left: let go of OpenRouter."""
        try:
            self._events.close()
            if self._is_whole:
                self._end(200, "answered")
            else:
                self._run.end(Left("The app closed the connection."))
                self._end(499, "left")
        finally:
            if isinstance(self._found, Opened):
                self._found.answer.close()

    def _relayed(self) -> Generator[bytes, None, None]:
        try:
            if isinstance(self._found, GatewayError):
                yield from self._broken(self._found)
                return
            self._run.first_byte_s = self._clock.monotonic() - self._run.call.started
            if self._found.ready:
                yield self._found.ready
            yield from self._rest(self._found)
            reading = self._run.reading
            if reading.error is not None:
                self._end(200, "error_in_stream")
                return
            if not reading.whole:
                raise broken_off(self._run)
            if not reading.done and self._style.end_mark:
                yield self._style.end_mark
            self._end(200, "answered")
        except GatewayError as error:
            yield from self._broken(self._run.seen(error))

    def _rest(self, found: Opened) -> Iterator[bytes]:
        """What follows the first content, untouched; what only a choice calls an error is told where SDKs look."""
        reading, told = self._run.reading, False
        try:
            for events in more(self._run, found):
                if reading.error is None or not events:
                    yield events
                    continue
                told = told or self._tells_error(events)
                last_words = events if told else _DONE_LINE.split(events)[0]
                if last_words:
                    yield last_words
        except GatewayError:
            if reading.error is None or self._run.is_over:
                raise
        if reading.error is not None and not told:
            # It stood inside a choice, where SDKs do not look: they would take the answer for a whole one.
            now = self._clock.now()
            yield self._style.error_event(stated(self._run, found.answer, now)[1], reading, int(now))

    def _broken(self, error: GatewayError) -> Iterator[bytes]:
        reading = self._run.reading
        if self._is_whole:
            # Everything was said; only the connection's own end is missing.
            self._end(200, "answered")
            if not reading.done and self._style.end_mark:
                yield self._style.end_mark
            return
        self._end(*((499, "left") if isinstance(error, Left) else (200, error.code)))
        yield self._style.error_event(error, reading, int(self._clock.now()))

    @property
    def _is_whole(self) -> bool:
        """All of the answer is there. What a failed attempt read, such as an empty answer, is none of it."""
        return isinstance(self._found, Opened) and self._run.reading.whole

    def _end(self, status: int, outcome: str) -> None:
        self._run.relax()
        self._ended(self._run, status, outcome)

    def _tells_error(self, events: bytes) -> bool:
        told = map(parse, SseDecoder().feed(events))
        return any(isinstance(event, dict) and self._style.tells_error(event) for event in told)
