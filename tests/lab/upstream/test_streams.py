from __future__ import annotations

import json

import pytest

from tests.lab.upstream import plays
from tests.lab.upstream.lab import SHORT, Lab, assert_answered, assert_broken_off
from tests.lab.upstream.plays import COMMENT, DONE, EVENTS, TEXT, USAGE, good, said, sending, streaming, streaming_then
from tests.lab.upstream.wire import Peer, Play


def _then(then: Play, *more: bytes) -> Play:
    """One content event, by itself, then these bytes, then this."""

    def play(peer: Peer) -> None:
        peer.send(plays.chunked(EVENTS) + plays.chunk(said()))
        peer.pause(0.1)
        peer.send(b"".join(plays.chunk(part) for part in more))
        then(peer)

    return play


def _unframed(*parts: bytes, length: int | None = None) -> Play:
    """Events without chunks, under a length that is too large or none, then the end of the connection."""
    framing = {} if length is None else {"Content-Length": str(length)}
    return sending(plays.head(200, {**EVENTS, **framing}) + b"".join(parts))


ERROR = plays.error_event(code=502, message="Provider disconnected")
RECORDED = plays.event(error={"code": 502, "message": "x"}, choices=[{"index": 0, "delta": {}, "finish_reason": None}])
BROKEN = {
    "U10-only-comments": ("upstream_stalled", _then(plays.repeating(COMMENT))),
    "U11-silence": ("upstream_stalled", _then(Peer.hold)),
    "U12-reset": ("upstream_truncated", _then(Peer.reset)),
    "U13-short-length": ("upstream_truncated", _unframed(said(), length=5000)),
    "U14-no-last-chunk": ("upstream_truncated", _then(Peer.hang_up)),
    "U15-cut-between-events": ("stream_incomplete", _unframed(said())),
    "U15-cut-in-an-event": ("stream_incomplete", _unframed(said(), b'data: {"choices": [{"del')),
    "U15-ended-early": ("stream_incomplete", streaming(said())),
    "U16-no-json": ("upstream_protocol_error", _then(Peer.hold, b"data: {nonsense\n\n")),
    "U17-page": ("upstream_protocol_error", _then(Peer.hold, b"data: <html>\n\n")),
    "U46-comments": ("upstream_stalled", _then(plays.repeating(COMMENT))),
    "U56-20-mb": ("upstream_protocol_error", _then(Peer.hold, b"data: " + b"x" * 9 * 2**20)),
}


@pytest.mark.parametrize("chain", [False, True], ids=["alone", "chain"])
@pytest.mark.parametrize("row", BROKEN)
def test_broken_after_content(lab: Lab, row: str, chain: bool) -> None:
    """After the first content no other model is tried: the stream ends with an error event and without [DONE]."""
    code, play = BROKEN[row]
    bad = lab.model(play)
    models = (bad, lab.model(good)) if chain else (bad,)

    seen = lab.ask(*models, stream=True, wishes={} if row.startswith("U56") else SHORT)

    assert_broken_off(seen, code)
    assert ("0", "0") == seen.steps
    assert code == lab.story(seen).outcome
    assert [bad] == lab.sent(*models)
    lab.check(seen, *models)


@pytest.mark.parametrize("then", ["done", "open", "closed"])
@pytest.mark.parametrize("event", [ERROR, RECORDED], ids=["U48-documented", "U48-recorded"])
def test_error_event_after_content(lab: Lab, event: bytes, then: str) -> None:
    """OpenRouter's own error event goes on as it came, ends the stream at once, and gets no [DONE] that it lacks."""
    if then == "done":
        bad = lab.model(_then(lambda peer: peer.send(plays.chunk(b"")), event + DONE))
    else:
        bad = lab.model(_then(Peer.hold if then == "open" else Peer.hang_up, event))
    other = lab.model(good)

    seen = lab.ask(bad, other, stream=True)

    assert said() + event + (DONE if then == "done" else b"") == seen.body
    assert "error_in_stream" == lab.story(seen).outcome
    assert [bad] == lab.sent(bad, other)
    lab.check(seen, bad, other)


@pytest.mark.parametrize("chain", [False, True], ids=["alone", "chain"])
@pytest.mark.parametrize("then", [Peer.hold, Peer.hang_up], ids=["U49-left-open", "U49-closed"])
def test_whole_without_done(lab: Lab, then: Play, chain: bool) -> None:
    """An answer with a finish_reason is whole: it is ended with the missing [DONE], also when nobody closes."""
    model = lab.model(streaming_then(then, said(), plays.ended(usage=USAGE)))
    models = (model, lab.model(good)) if chain else (model,)

    seen = lab.ask(*models, stream=True)

    assert_answered(seen)
    assert 1 == seen.events.count(b"[DONE]")
    assert [model] == lab.sent(*models)
    lab.check(seen, *models)


@pytest.mark.parametrize("kind", ["comments", "content", "plain"], ids=lambda kind: f"U59-{kind}")
def test_endless(lab: Lab, kind: str) -> None:
    """Whatever never ends is ended by the call's own time, and the connection with it."""
    if kind == "plain":
        bad = lab.model(sending(plays.chunked(plays.JSON), plays.repeating(b" ")))
    else:
        bad = lab.model(streaming_then(plays.repeating(COMMENT if kind == "comments" else said("x"))))
    other = lab.model(good)

    seen = lab.ask(bad, other, stream=kind != "plain", wishes={"X-Orgate-Timeout": "0.5"})

    assert (200 if kind == "content" else 504, "call_timeout") == (seen.status, seen.code)
    assert b"[DONE]" not in seen.body
    if kind != "content":
        assert [bad] == lab.told(seen)
    assert [bad] == lab.sent(bad, other)
    lab.check(seen, bad, other)


def test_first_content_clock_counts_no_comments(lab: Lab) -> None:
    """Reasoning counts as content, comments do not."""
    thought = plays.event(choices=[{"index": 0, "delta": {"reasoning": "Hm."}, "finish_reason": None}])

    def thinks(peer: Peer) -> None:
        peer.send(plays.chunked(EVENTS) + plays.chunk(thought))
        for part in (thought, thought, thought, said() + plays.ended() + DONE):
            peer.pause(0.15)
            peer.send(plays.chunk(part))
        peer.send(plays.chunk(b""))

    seen = lab.ask(lab.model(thinks), stream=True, wishes=SHORT)

    assert (200, TEXT, b"[DONE]") == (seen.status, seen.text, seen.events[-1])


def test_error_event_names_the_answer(lab: Lab) -> None:
    """The error event carries the id and the model of the answer that it ends."""
    seen = lab.ask(lab.model(_then(Peer.hang_up)), stream=True)

    first, last = (json.loads(data) for data in seen.events)
    assert first["id"] == last["id"] == "gen-lab"
