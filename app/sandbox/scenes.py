"""An answer being delivered, plain or streamed, in steps that a fault can interrupt."""

from __future__ import annotations

import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from app.sandbox import wire
from app.sandbox.account import Generation
from app.sandbox.dialects import Dialect
from app.sandbox.outlet import Outlet
from app.sandbox.shapes import Reply
from app.sandbox.wire import Json

COMMENT = b": OPENROUTER PROCESSING"
PADDING = b"\n         \n"
_PLAIN_STEPS = 4
_SPLIT_GAP_S = 0.03


class Scene(ABC):
    """
    One generation and its connection; charged once, when it is complete or when it ends early.

    `content_type`, `newline` and `splits` are there for faults to change before `open`.
    """

    content_type = "application/json"
    streamed = False

    def __init__(
        self,
        outlet: Outlet,
        reply: Reply,
        interval_s: float,
        charge: Callable[[Generation], None],
        dialect: Dialect,
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.outlet, self.reply, self.interval_s = outlet, reply, interval_s
        self.headers = headers or {}
        self.newline = b"\n"
        self.splits = False
        self.begun = False
        self.charge, self.dialect, self.key = charge, dialect, key
        self._produced = self._thought = 0
        self._settled = False
        self._started_at, self._started = time.time(), time.monotonic()
        self._first: float | None = None

    def begin(self) -> None:
        """The model is at work from here on."""
        self.begun = True
        self.outlet.entry.generation_id = self.reply.id

    def response_headers(self) -> dict[str, str]:
        """What the head of the answer says beside the usual."""
        named = {"X-Generation-Id": self.reply.id} if self.dialect.tells_generation else {}
        return {"Content-Type": self.content_type, **named, **self.headers}

    def play(self) -> None:
        """The whole answer as OpenRouter would give it."""
        self.open()
        self.content()
        self.close()

    def close(self) -> None:
        """The rest after the content."""
        self.finish()
        self.usage()
        self.done()
        self.outlet.end()

    def settle(self, *, cancelled: bool = False, failed: bool = False) -> None:
        """Charge what was produced, nothing for a failure; only the first time counts."""
        if self._settled:
            return
        self._settled = True
        now = time.monotonic()
        reply, first = self.reply, self._first or now
        self.charge(
            Generation(
                id=reply.id,
                model=reply.model.wire_name,
                provider=reply.model.provider,
                key=self.key,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=self._produced,
                reasoning_tokens=self._thought,
                cost_nano=0 if failed else reply.cost(self._produced),
                cancelled=cancelled,
                streamed=self.streamed,
                finish_reason=None if cancelled else "error" if failed else reply.answer.finish,
                native_finish_reason=None if cancelled else "error" if failed else reply.native_finish,
                started_at=self._started_at,
                latency_ms=int((first - self._started) * 1000),
                duration_ms=int((now - self._started) * 1000),
                headers=self.outlet.entry.headers,
                ended_mono_ns=time.monotonic_ns(),
                is_free=reply.model.entry["id"].endswith(":free"),
                api_type=self.dialect.path.strip("/").replace("chat/", ""),
            )
        )

    def spent(self) -> Json:
        """The usage so far."""
        return self.dialect.usage(self.reply, self._produced, self._thought)

    def produce_all(self) -> None:
        """Count the whole answer as produced."""
        self._first = self._first or time.monotonic()
        self._produced = self.reply.answer.completion_tokens
        self._thought = self.reply.answer.reasoning_tokens

    @abstractmethod
    def open(self) -> None:
        """Head, and the signs of life before the first content."""

    @abstractmethod
    def idle(self) -> None:
        """One sign of life without content."""

    @abstractmethod
    def content(self, limit: int | None = None) -> None:
        """The content, or only its first `limit` pieces."""

    def begin_content(self) -> None:  # noqa: B027 - a plain answer has none
        """The events that come before any content, once."""

    @abstractmethod
    def say(self, *values: Any) -> None:
        """JSON values: events, or the whole body."""

    def finish(self) -> None:  # noqa: B027 - a plain answer has it in the body
        """The finish reason."""

    def usage(self) -> None:  # noqa: B027 - a plain answer has it in the body
        """The usage."""

    def done(self) -> None:  # noqa: B027 - a plain answer has none
        """The last event."""

    def abandon(self) -> None:
        """The client left."""
        if self.begun:
            self.settle(cancelled=True)


class StreamScene(Scene):
    """Server-sent events, charged up to where the client left."""

    content_type = "text/event-stream"
    streamed = True
    _number = 0
    _is_open = False

    def response_headers(self) -> dict[str, str]:
        """As for every answer, and not to be cached."""
        return {"Cache-Control": "no-cache", **super().response_headers()}

    def open(self) -> None:
        """Head and one to three comments."""
        self.begin()
        self.outlet.head(200, self.response_headers())
        for _ in range(1 + zlib.crc32(self.reply.answer.text.encode(errors="replace")) % 3):
            self.idle()
            self._pause()

    def idle(self) -> None:
        """One comment."""
        self.outlet.send(COMMENT + self.newline * 2)

    def _pause(self) -> None:
        if self.interval_s:
            self.outlet.wait(self.interval_s)

    def content(self, limit: int | None = None) -> None:
        """One event per piece, so far apart as the interval says."""
        self.begin_content()
        self._first = time.monotonic()
        for number, part in enumerate(self.dialect.parts(self.reply)[:limit]):
            if number:
                self._pause()
            self.say(*part.before, part.event)
            self._produced += part.tokens
            self._thought += part.tokens * part.thinking
            self.say(*part.after)

    def begin_content(self) -> None:
        """The events that come before any content, once."""
        if not self._is_open:
            self._is_open = True
            self.say(*self.dialect.opening(self.reply))

    def say(self, *values: Any) -> None:
        """Events."""
        for value in values:
            self._say(self.dialect.frame(value, self._number).replace(b"\n", self.newline) + self.newline * 2)
            self._number += 1

    def _say(self, data: bytes) -> None:
        wide = next((at for at, byte in enumerate(data) if byte >= 0xC0), None) if self.splits else None
        if wide is None:
            self.outlet.event(data)
            return
        self.outlet.send_split(data, wide + 1, _SPLIT_GAP_S)
        self.outlet.entry.events_sent += 1

    def finish(self) -> None:
        """The event with the finish reason, where there is one."""
        self._pause()
        self.say(*self.dialect.finish(self.reply))

    def usage(self) -> None:
        """Charge, then the event that says how much."""
        self.settle()
        self.say(*self.dialect.last(self.reply, self.spent()))

    def done(self) -> None:
        """The end mark."""
        if self.dialect.end is not None:
            self.outlet.send(self.dialect.end.replace(b"\n", self.newline) + self.newline * 2)


class PlainScene(Scene):
    """One JSON body after white space; billed in full even when the client left before it came."""

    def open(self) -> None:
        """Head and padding, when the answer takes a moment."""
        self.begin()
        self.outlet.head(200, self.response_headers())
        if not self.interval_s:
            return
        for _ in range(2):
            self.idle()
            self.outlet.wait(self.interval_s * _PLAIN_STEPS)

    def idle(self) -> None:
        """White space that keeps the connection alive."""
        self.outlet.send(PADDING.replace(b"\n", self.newline))

    def body(self) -> bytes:
        """The whole JSON text."""
        return wire.dumps(self.dialect.plain(self.reply, self.spent()))

    def content(self, limit: int | None = None) -> None:
        """The body, or as much of it as so many pieces are worth."""
        self.produce_all()
        if limit is None:
            self.settle()
        body = self.body()
        if limit is not None:
            body = body[: len(body) * min(limit, 9) // 10]
        self.send_body(body)

    def send_body(self, body: bytes) -> None:
        """Body bytes, in two writes within one character when asked to."""
        wide = next((at for at, byte in enumerate(body) if byte >= 0xC0), None) if self.splits else None
        if wide is None:
            self.outlet.send(body)
        else:
            self.outlet.send_split(body, wide + 1, _SPLIT_GAP_S)

    def say(self, *values: Any) -> None:
        """The body."""
        for value in values:
            self.outlet.send(wire.dumps(value))

    def abandon(self) -> None:
        """The client left: a plain request is billed in full (OpenRouter docs, Streaming)."""
        if self.begun:
            self.produce_all()
            self.settle(cancelled=True)
