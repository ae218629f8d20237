from __future__ import annotations

import json
import zlib
from collections.abc import Callable

import pytest

from tests.lab.upstream import plays
from tests.lab.upstream.lab import SHORT, Lab, assert_answered
from tests.lab.upstream.plays import EVENTS, HTML, JSON, PAGE, answering, by_shape, good, sending, streaming
from tests.lab.upstream.rows import Row, in_shapes, play_out
from tests.lab.upstream.wire import Peer, Play

MODEL, TIME = "model_error", "timeout_error"
CUT, UNKNOWN, BROKEN = "upstream_truncated", "outcome_unknown", "upstream_protocol_error"
CHUNKED = {"Transfer-Encoding": "chunked"}
HALF = plays.answer()[:60]
ALONE = ("plain", "chain")
STREAMS = ("streamed", "chain-streamed")


def _headed(headers: dict[str, str], data: bytes, then: Play) -> Play:
    """The headers of either form of answer, these bytes, and what follows them."""
    json_head, events_head = plays.head(200, {**JSON, **headers}), plays.head(200, {**EVENTS, **headers})
    return by_shape(sending(json_head + data, then), sending(events_head + data, then))


def _gzip_bomb() -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join(squeeze.compress(bytes(2**20)) for _ in range(70)) + squeeze.flush()


def _error_in_200(code: object) -> Play:
    body = json.dumps({"error": {"code": code, "message": "Failed"}, "user_id": "u"}).encode()
    return answering(200, JSON, b"\n  \n" + body)


def _broken_choice(peer: Peer) -> None:
    error = {"code": 502, "message": "Provider disconnected"}
    choice = {"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": "Half"}, "error": error}
    peer.send(plays.whole(200, JSON, plays.answer(choices=[choice])))


SILENT = plays.repeating(plays.COMMENT)
INVALID = by_shape(answering(200, JSON, b'{"choices": [{]}'), streaming(b"data: {nonsense\n\n"))

ROWS = [
    Row(
        "U6",
        "reset-in-the-body",
        Peer.reset,
        502,
        MODEL,
        "upstream_unreachable",
        3,
        hasty=True,
        body={"text": "x" * 12_000_000},
        shapes=("plain", "chain-streamed"),
    ),
    Row("U7", "reset-after-it", Peer.reset, 504, TIME, UNKNOWN),
    Row("U7", "closed-after-it", Peer.hang_up, 504, TIME, UNKNOWN),
    Row("U7", "silence", Peer.hold, 504, TIME, UNKNOWN),
    Row("U7", "no-http", sending(b"SSH-2.0-OpenSSH\r\n\r\n"), 504, TIME, UNKNOWN),
    Row("U9", "drip", plays.dripping(b"HTTP/1.1 200 OK\r\nX-Slow: a"), 504, TIME, UNKNOWN),
    Row("U10", "no-body", _headed(CHUNKED, b"", Peer.hold), 504, TIME, UNKNOWN, wishes=SHORT, shapes=ALONE),
    Row(
        "U10",
        "white-space",
        _headed(CHUNKED, b"", plays.repeating(b"  \n")),
        504,
        TIME,
        UNKNOWN,
        wishes=SHORT,
        shapes=ALONE,
    ),
    Row("U10", "no-body", _headed(CHUNKED, b"", Peer.hold), 504, TIME, "upstream_silent", wishes=SHORT, shapes=STREAMS),
    Row("U12", "reset-in-the-answer", _headed(CHUNKED, plays.chunk(b" "), Peer.reset), 502, MODEL, CUT),
    Row("U13", "short-length", _headed({"Content-Length": "999"}, b" ", Peer.hang_up), 502, MODEL, CUT),
    Row("U14", "no-last-chunk", _headed(CHUNKED, plays.chunk(b" "), Peer.hang_up), 502, MODEL, CUT),
    Row("U15", "cut", _headed({}, HALF, Peer.hang_up), 502, MODEL, BROKEN, shapes=ALONE),
    Row("U15", "cut", _headed({}, plays.COMMENT, Peer.hang_up), 502, MODEL, "stream_incomplete", shapes=STREAMS),
    Row("U16", "no-json", INVALID, 502, MODEL, BROKEN),
    Row("U16", "no-object", by_shape(answering(200, JSON, b"[]"), streaming(b"data: 7\n\n")), 502, MODEL, BROKEN),
    Row("U17", "portal", answering(200, HTML, PAGE), 502, MODEL, BROKEN),
    Row("U18", "204", sending(b"HTTP/1.1 204 No Content\r\n\r\n"), 502, MODEL, BROKEN),
    Row("U18", "empty-body", answering(200, JSON, b""), 502, MODEL, BROKEN),
    Row("U18", "no-events", answering(200, EVENTS, b""), 502, MODEL, "stream_incomplete", shapes=STREAMS),
    Row("U18", "no-choices", answering(200, JSON, plays.answer(choices=[])), 502, MODEL, "empty_answer", shapes=ALONE),
    Row("U18", "only-done", streaming(plays.DONE), 502, MODEL, "empty_answer", shapes=STREAMS),
    Row(
        "U19",
        "no-gzip",
        _headed({"Content-Encoding": "gzip", "Content-Length": "9"}, b"unpressed", lambda _: None),
        502,
        MODEL,
        CUT,
    ),
    Row(
        "U20",
        "bomb",
        answering(200, {**JSON, "Content-Encoding": "gzip"}, _gzip_bomb()),
        502,
        MODEL,
        "upstream_too_large",
    ),
    Row(
        "U20",
        "six-encodings",
        answering(200, {**JSON, "Content-Encoding": ", ".join(["gzip"] * 6)}, b"x"),
        502,
        MODEL,
        CUT,
    ),
    Row("U21", "endless-chunk-size", _headed(CHUNKED, b"0" * 2**20, Peer.hold), 502, MODEL, CUT, wishes=SHORT),
    Row("U44", "502", _error_in_200(502), 502, MODEL, "upstream_error", 2),
    Row("U44", "503", _error_in_200(503), 503, "service_unavailable", "upstream_overloaded", 3),
    Row("U44", "400", _error_in_200(400), 400, "invalid_request_error", "invalid_request"),
    Row("U44", "a-name", _error_in_200("server_error"), 502, MODEL, "upstream_error", 2),
    Row("U45", "in-the-choice", _broken_choice, 502, MODEL, "upstream_error", shapes=ALONE),
    Row("U46", "comments", plays.streaming_then(SILENT), 504, TIME, "upstream_silent", wishes=SHORT, shapes=STREAMS),
    Row(
        "U47",
        "502",
        streaming(plays.COMMENT, plays.error_event(code=502, message="x")),
        502,
        MODEL,
        "upstream_error",
        2,
        shapes=STREAMS,
    ),
    Row(
        "U47",
        "429",
        streaming(plays.error_event(code=429, message="x")),
        429,
        "rate_limit_error",
        "upstream_rate_limited",
        3,
        shapes=STREAMS,
    ),
    Row(
        "U62", "events-for-plain", streaming(plays.said(), plays.ended(), plays.DONE), 502, MODEL, BROKEN, shapes=ALONE
    ),
]


@pytest.mark.parametrize(("row", "shape"), in_shapes(ROWS))
def test_no_answer(lab: Lab, row: Row, shape: str) -> None:
    """What is no answer is told as an error, is not repeated where that could cost twice, and a chain goes on."""
    play_out(lab, row, shape)


@pytest.mark.parametrize("shape", ["plain", "streamed", "chain", "chain-streamed"], ids=lambda shape: f"U8-{shape}")
def test_end_of_a_kept_connection(make_lab: Callable[..., Lab], shape: str) -> None:
    """A kept connection that ends without an answer to its second call has an unknown outcome; nothing is replayed."""
    lab = make_lab()
    first = lab.model(good)
    assert_answered(lab.ask(first))

    play_out(lab, Row("U8", "", Peer.hang_up, 504, TIME, UNKNOWN), shape)

    connections = [post.connection for post in lab.upstream.posts[:2]]
    assert 1 == len(set(connections))


def test_empty_text_in_a_chain(lab: Lab) -> None:
    """An answer without content moves a chain on, plain as well as streamed."""
    empty = by_shape(answering(200, JSON, plays.answer("")), streaming(plays.ended(), plays.DONE))
    for stream in (False, True):
        bad, other = lab.model(empty), lab.model(good)

        seen = lab.ask(bad, other, stream=stream)

        assert_answered(seen, fallbacks=1)
        lab.check(seen, bad, other)
