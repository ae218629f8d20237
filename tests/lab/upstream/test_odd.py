from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.upstream import plays
from tests.lab.upstream.lab import Lab, assert_answered
from tests.lab.upstream.plays import COMMENT, DONE, EVENTS, JSON, TEXT, USAGE, answer, answering, ended, good, said
from tests.lab.upstream.wire import Peer

SPLIT = plays.event(choices=[{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]).replace(
    b'"x"', '"Grüße 🙂"'.encode()
)
_AT = SPLIT.index("ü".encode()) + 1
EMPTY = [plays.event(choices=[]), plays.event(choices=None), plays.event(), plays.event(choices=[{"index": 0}])]
DEBUG = b"event: message\nid: 7\nretry: 5\n"
MANY_LINES = said().replace(b", ", b",\ndata: ", 2)
PARTS: dict[str, list[bytes]] = {
    "U50-no-usage": [said(), ended(), DONE],
    "U51-twice": [said(), ended(usage={**USAGE, "cost": 7}), ended(usage=USAGE), DONE],
    "U53-split-characters": [SPLIT[:_AT], SPLIT[_AT:], ended(usage=USAGE), DONE],
    "U54-crlf": [part.replace(b"\n", b"\r\n") for part in (COMMENT, said(), ended(usage=USAGE), DONE)],
    "U54-crlf-split": [said()[:-1] + b"\r", b"\n\r", b"\n", ended(usage=USAGE), DONE],
    "U54-cr": [part.replace(b"\n", b"\r") for part in (COMMENT, said(), ended(usage=USAGE), DONE)],
    "U54-mixed": [said()[:-1] + b"\r\n", ended(usage=USAGE)[:-2] + b"\r\n\n", DONE],
    "U54-bom": [b"\xef\xbb\xbf" + said(), ended(usage=USAGE), DONE],
    "U55-fields": [DEBUG + said(), DEBUG + ended(usage=USAGE), DONE],
    "U55-lines": [MANY_LINES, ended(usage=USAGE), DONE],
    "U56-1-mb": [said("x" * 10**6), ended(usage=USAGE), DONE],
    "U57-line-separator": [said().replace(b"Well", "\u2028\u0085".encode()), ended(usage=USAGE), DONE],
    "U58-empty": [*EMPTY, said(), *EMPTY, ended(usage=USAGE), *EMPTY, DONE],
}


@pytest.mark.parametrize("chain", [False, True], ids=["alone", "chain"])
@pytest.mark.parametrize("row", PARTS)
def test_odd_but_whole(lab: Lab, row: str, chain: bool) -> None:
    """What is unusual but whole reaches the app byte by byte, and is metered all the same."""

    def play(peer: Peer) -> None:
        peer.send(plays.chunked(EVENTS))
        for part in PARTS[row]:
            peer.send(plays.chunk(part))
            peer.pause(0.002)
        # After this it is the gateway's turn.
        peer.send(plays.chunk(b""))

    model = lab.model(play)
    models = (model, lab.model(good)) if chain else (model,)

    seen = lab.ask(*models, stream=True)
    story = lab.story(seen)

    assert (200, b"".join(PARTS[row])) == (seen.status, seen.body)
    assert ("answered", "gen-lab", "Lab") == (story.outcome, story.generation_id, story.provider)
    assert (None if row.startswith("U50") else 19_000) == (story.usage.cost if story.usage else None)
    assert [model] == lab.sent(*models)
    lab.check(seen, *models)


ABSURD: dict[str, Any] = {"negative": -1.5, "nan": float("nan"), "text": "1.5", "huge": 1e308, "null": None}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("cost", ABSURD, ids=[f"U52-{name}" for name in ABSURD])
def test_absurd_cost(lab: Lab, cost: str, stream: bool) -> None:
    """A cost that cannot be is not believed, and the answer is delivered as it came."""
    usage = {**USAGE, "cost": ABSURD[cost]}
    play = plays.by_shape(answering(200, JSON, answer(usage=usage)), plays.streaming(said(), ended(usage=usage), DONE))
    model = lab.model(play)

    seen = lab.ask(model, stream=stream)
    story = lab.story(seen)

    assert (200, TEXT) == (seen.status, seen.text)
    assert story.usage is not None
    assert story.usage.cost is None or cost == "text"
    lab.check(seen, model)


@pytest.mark.parametrize("row", ["U57", "U58-null", "U58-empty"])
def test_odd_plain_answers(lab: Lab, row: str) -> None:
    """A plain answer with line separators passes; one without choices is no answer, and a chain goes on."""
    if row == "U57":
        body = answer("\u2028\u0085")
        model = lab.model(answering(200, JSON, body))

        seen = lab.ask(model)

        assert (200, body) == (seen.status, seen.body)
        return
    bad = lab.model(answering(200, JSON, answer(choices=None if row == "U58-null" else [])))
    other = lab.model(good)

    seen = lab.ask(bad, other)

    assert_answered(seen, fallbacks=1)
    lab.check(seen, bad, other)


@pytest.mark.parametrize("row", ["U53-plain", "U53-streamed"])
def test_broken_characters(lab: Lab, row: str) -> None:
    """What is not UTF-8 is not JSON, and so no answer."""
    play = plays.by_shape(
        answering(200, JSON, answer("\xff").replace(b"\\u00ff", b"\xff")), plays.streaming(b"data: \xff\n\n")
    )
    model = lab.model(play)

    seen = lab.ask(model, stream=row.endswith("streamed"))

    assert (502, "model_error", "upstream_protocol_error", "false") == seen.refusal
    lab.check(seen, model)


@pytest.mark.parametrize("chain", [False, True], ids=["U60-alone", "U60-chain"])
def test_after_done(lab: Lab, chain: bool) -> None:
    """After [DONE] the app waits for nothing more: the call is over and the connection is closed."""

    def play(peer: Peer) -> None:
        peer.send(plays.chunked(EVENTS) + plays.chunk(said() + ended(usage=USAGE) + DONE))
        plays.repeating(said("late"))(peer)

    model = lab.model(play)
    models = (model, lab.model(good)) if chain else (model,)

    seen = lab.ask(*models, stream=True)

    assert_answered(seen)
    assert b"late" not in seen.body
    assert [model] == lab.sent(*models)
    lab.check(seen, *models)


@pytest.mark.parametrize("stream", [False, True], ids=["U61-plain", "U61-streamed"])
def test_another_model_answers(lab: Lab, stream: bool) -> None:
    """The answer names the model that gave it, and so do the header and the record."""
    play = plays.by_shape(
        answering(200, JSON, answer(model="lab/other")),
        plays.streaming(said(model="lab/other"), ended(usage=USAGE, model="lab/other"), DONE),
    )
    model = lab.model(play)

    seen = lab.ask(model, stream=stream)

    assert ("lab/other", "0") == (seen.headers["x-orgate-model"], seen.headers["x-orgate-attempted-fallbacks"])
    assert ("lab/other", model) == (lab.story(seen).served_model, lab.story(seen).model)
    lab.check(seen, model)


@pytest.mark.parametrize("chain", [False, True], ids=["U62-alone", "U62-chain"])
def test_plain_answer_for_a_stream(lab: Lab, chain: bool) -> None:
    """A JSON answer where a stream was asked for becomes the stream that would have said the same."""
    model = lab.model(answering(200, JSON, answer()))
    models = (model, lab.model(good)) if chain else (model,)

    seen = lab.ask(*models, stream=True)

    assert_answered(seen)
    assert USAGE == json.loads(seen.events[-2])["usage"]
    lab.check(seen, *models)
