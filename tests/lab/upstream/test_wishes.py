from __future__ import annotations

import functools

import pytest

from tests.lab.upstream import plays
from tests.lab.upstream.lab import SHORT, Lab, assert_answered, assert_broken_off
from tests.lab.upstream.plays import COMMENT, DONE, EVENTS, JSON, answer, answering, good, refusing, said, streaming
from tests.lab.upstream.wire import Peer, Play

WHOLE = {"X-Orgate-Delivery": "whole"}
AGAIN = {"X-Orgate-Retry-Ambiguous": "1"}


def _cut(then: Play, *more: bytes) -> Play:
    """Some content by itself, then these bytes, then this."""

    def play(peer: Peer) -> None:
        peer.send(plays.chunked(EVENTS) + plays.chunk(said("Half an answer")))
        peer.pause(0.05)
        peer.send(b"".join(plays.chunk(part) for part in more))
        then(peer)

    return play


CUTS: dict[str, Play] = {
    "silence": _cut(Peer.hold),
    "comments": _cut(plays.repeating(COMMENT)),
    "reset": _cut(Peer.reset),
    "no-last-chunk": _cut(Peer.hang_up),
    "ended-early": streaming(said("Half an answer")),
    "no-json": _cut(Peer.hold, b"data: {nonsense\n\n"),
    "error-event": _cut(Peer.hold, plays.error_event(code=502, message="x")),
    "error-and-done": streaming(said("Half an answer"), plays.error_event(code=429, message="x") + DONE),
    "cut-in-an-event": _cut(lambda peer: peer.send(plays.chunk(b"")), b'data: {"cho'),
}


@pytest.mark.parametrize("cut", CUTS)
def test_whole_moves_on(lab: Lab, cut: str) -> None:
    """Delivered whole, an answer that breaks in its middle is left behind: the app hears only the next model's."""
    bad, other = lab.model(CUTS[cut]), lab.model(good)

    seen = lab.ask(bad, other, stream=True, wishes={**WHOLE, **SHORT})

    assert_answered(seen, fallbacks=1)
    assert b"Half" not in seen.body
    assert [bad, other] == lab.sent(bad, other)
    lab.check(seen, bad, other)


@pytest.mark.parametrize("cut", CUTS)
def test_whole_alone(lab: Lab, cut: str) -> None:
    """Without another model half an answer is an error with a status of its own, and is not asked for again."""
    bad = lab.model(CUTS[cut])

    seen = lab.ask(bad, stream=True, wishes={**WHOLE, **SHORT})

    assert seen.status in (429, 502, 504)
    assert b"Half" not in seen.body
    assert [bad] == lab.told(seen) == lab.sent(bad)
    lab.check(seen, bad)


def test_live_is_the_default(lab: Lab) -> None:
    """Delivered live, what came is kept, no other model is tried, and the break is told."""
    bad, other = lab.model(CUTS["reset"]), lab.model(good)

    seen = lab.ask(bad, other, stream=True, wishes={"X-Orgate-Delivery": "live"})

    assert_broken_off(seen, "upstream_truncated", "Half an answer")
    assert [bad] == lab.sent(bad, other)
    lab.check(seen, bad, other)


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("wishes", [SHORT, {**SHORT, **WHOLE}], ids=["live", "whole"])
def test_comments_while_the_chain_goes_on(lab: Lab, wishes: dict[str, str]) -> None:
    """Once headers are out the app hears comments, the chain goes on behind them, and then the answer comes."""
    bad = lab.model(CUTS["silence"] if wishes is not SHORT else plays.streaming_then(Peer.hold))
    other = lab.model(good)

    seen = lab.ask(bad, other, stream=True, wishes=wishes)

    assert (200, b"[DONE]") == (seen.status, seen.events[-1])
    assert seen.body.startswith(b": ")
    assert b"Half" not in seen.body
    assert [bad, other] == lab.sent(bad, other)
    lab.check(seen, bad, other)


@pytest.mark.usefixtures("company")
def test_failure_behind_comments(lab: Lab) -> None:
    """When nothing answers behind the comments, the stream ends with the error event and its attempts."""
    bad, other = lab.model(plays.streaming_then(Peer.hold)), lab.model(refusing(404))

    seen = lab.ask(bad, other, stream=True, wishes=SHORT)

    assert (200, "upstream_not_found") == (seen.status, seen.code)
    assert [bad, other] == lab.told(seen)
    assert b"[DONE]" not in seen.body
    lab.check(seen, bad, other)


AMBIGUOUS: dict[str, Play] = {
    "reset": Peer.reset,
    "silence": Peer.hold,
    "502-html": answering(502, plays.HTML, plays.PAGE),
    "no-json": answering(200, JSON, b"<html>"),
    "empty": answering(200, JSON, answer(choices=[])),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_ambiguous_is_repeated_on_demand(lab: Lab, fault: str, stream: bool) -> None:
    """An app that would rather pay twice has an ambiguous failure repeated, and learns how often."""
    model = lab.model(AMBIGUOUS[fault], good)

    seen = lab.ask(model, stream=stream, wishes=AGAIN)

    assert_answered(seen, retries=1)
    assert [model] * 2 == lab.sent(model)
    lab.check(seen, model)


def test_ambiguous_at_most_three_times(lab: Lab) -> None:
    """Also then no model is asked more than three times."""
    model = lab.model(Peer.reset)

    seen = lab.ask(model, wishes=AGAIN)

    assert (504, "timeout_error", "outcome_unknown", "false") == seen.refusal
    assert [model] * 3 == lab.told(seen) == lab.sent(model)
    lab.check(seen, model)


def test_total_time_covers_the_waits(lab: Lab) -> None:
    """A wait that the call's time does not allow is not begun."""
    model = lab.model(refusing(429, {"Retry-After": "20"}))

    seen = lab.ask(model, wishes={"X-Orgate-Timeout": "10"})

    assert (429, "rate_limit_error", "upstream_rate_limited", "true") == seen.refusal
    assert [model] == lab.sent(model)
    lab.check(seen, model)


def test_time_up_in_the_chain(lab: Lab) -> None:
    """The call's time is one for all models: what was tried until then is told."""
    silent = [lab.model(plays.streaming_then(Peer.hold)) for _ in range(3)]
    ask = functools.partial(lab.ask, *silent, stream=True)

    seen = ask(wishes={"X-Orgate-Timeout": "1", "X-Orgate-First-Content-Timeout": "0.4"})

    assert (504, "timeout_error", "call_timeout", "false") == seen.refusal
    assert lab.told(seen) == lab.sent(*silent) == silent[: len(lab.told(seen))]
    assert 2 <= len(lab.told(seen)) <= 3
    lab.check(seen, *silent)
