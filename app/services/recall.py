"""Calls that may be answered with what the same call was answered before: `X-Orgate-Cache`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from app.core.cache import asked
from app.core.cache.answered import Judge
from app.core.calls import Call, Recall
from app.core.meter import Reading, Usage
from app.core.ports import Peer
from app.services.answercache import MOST_BYTES_OF_ANSWER, AnswerCache, Kept
from app.services.relay import Delivery, Relay
from app.services.stream import Stream


class Recaller:
    """
    Stands in front of the relay; calls that did not ask for the cache pass, and nothing of them is kept.

    A hit is a call like any other, to which a pause applies, but it makes no attempt: nothing is sent, held, or
    counted by quota or budget.
    """

    def __init__(self, relay: Relay, answers: AnswerCache) -> None:
        self._relay = relay
        self._answers = answers

    def deliver(self, call: Call, peer: Peer) -> Delivery:
        """The answer to a call, new or as it was; raises GatewayError when there is none."""
        max_age_s = call.wishes.cache_s
        if max_age_s is None:
            return self._relay.deliver(call, peer)
        if not asked.suits(call):
            return self._relay.deliver(replace(call, recall=Recall("bypass")), peer)
        key = asked.key(call)
        found = self._answers.find(call.app, key, max_age_s)
        if found is not None:
            return self._again(call, peer, *found)
        delivery = self._relay.deliver(replace(call, recall=Recall("miss")), peer)
        return self._noted(call, key, delivery)

    def _again(self, call: Call, peer: Peer, kept: Kept, age_s: float) -> Delivery:
        reading = Reading(kept.generation_id, kept.model, kept.provider, Usage(cost=0))
        answer = Delivery(kept.content_type, {"Age": str(int(age_s))}, kept.body)
        return self._relay.again(replace(call, recall=Recall("hit", age_s)), peer, answer, reading)

    def _noted(self, call: Call, key: bytes, delivery: Delivery) -> Delivery:
        """The new answer, of which a copy is kept if it is fit."""
        judge = Judge(call.style, call.body)

        def keep(body: bytes) -> None:
            reading = judge.reading
            generation_id = delivery.headers.get("X-Generation-Id") or reading.generation_id
            kept = Kept(delivery.content_type, body, reading.model, reading.provider, generation_id)
            self._answers.keep(call.app, key, kept)

        if isinstance(delivery.body, Stream):
            return replace(delivery, body=Copied(delivery.body, judge, keep))
        assert isinstance(delivery.body, bytes)
        if judge.plain(delivery.body):
            keep(delivery.body)
        return delivery


class Copied:
    """A stream that is copied as it passes; `keep` is given all of it when its last word goes out, if it is fit."""

    def __init__(self, stream: Stream, judge: Judge, keep: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._judge = judge
        self._keep = keep
        self._parts: list[bytes] = []
        self._size = 0
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part = next(self._stream)
        if part and not self._is_over:
            self._take(part)
        return part

    def detach(self) -> int | None:
        """Wait for nothing from now on: the descriptor to watch, or None where that cannot be."""
        return self._stream.detach()

    def close(self) -> None:
        """The app has all of it, or has left."""
        self._stream.close()

    def _take(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        self._judge.feed(part)
        self._is_over = self._judge.is_over or self._size > MOST_BYTES_OF_ANSWER
        if self._is_over:
            parts, self._parts = self._parts, []
            if self._judge.is_fit:
                self._keep(b"".join(parts))
