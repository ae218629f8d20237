from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from app.sandbox.server import Sandbox
from app.services import answers
from tests.gateway import KEY
from tests.lab.upstream.lab import SHORT, Lab, laboratory
from tests.lab.upstream.plays import EVENTS, JSON, chunk, chunked, whole
from tests.lab.upstream.wire import Peer, Play

BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Call add, and say hello to Jürgen"}]},
    "/messages": {"max_tokens": 40, "messages": [{"role": "user", "content": "Say hello to Jürgen"}]},
    "/responses": {"input": "Say hello to Jürgen"},
    "/completions": {"prompt": "Say hello to Jürgen"},
}
ENDS = {
    "/chat/completions": re.compile(rb'"finish_reason":"\w+"'),
    "/messages": re.compile(rb'"type":"message_stop"'),
    "/responses": re.compile(rb'"type":"response\.(completed|incomplete)"'),
    "/completions": re.compile(rb'"finish_reason":"\w+"'),
}
"""What stands in the event that makes an answer whole."""

CLOSING = re.compile(rb'"type":"message_stop"|"type":"response\.(completed|incomplete)"|\[DONE\]')
"""What clients take for the end of a whole answer, in any style."""

TOOL = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}}


@pytest.fixture(autouse=True)
def hasty_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that said its end, and nothing more, is closed sooner than in earnest."""
    monkeypatch.setattr(answers, "_LAST_WORDS_S", 0.2)


@pytest.fixture(scope="module")
def lab(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A gateway in front of an upstream that is told every byte."""
    with laboratory(shared_sandbox, tmp_path_factory.mktemp("styles")) as lab:
        yield lab


@pytest.fixture(scope="module")
def stream_of(shared_sandbox: Sandbox) -> Callable[[str], bytes]:
    """The bytes of a whole stream in a style, as the sandbox speaks it."""

    def found(endpoint: str) -> bytes:
        body = {"model": "openai/gpt-4o-mini", "stream": True, **BODIES[endpoint]}
        if endpoint == "/chat/completions":
            body["tools"] = [{"type": "function", "function": TOOL}]
        headers = {"Authorization": f"Bearer {KEY}"}
        return requests.post(shared_sandbox.url + endpoint, json=body, headers=headers, timeout=10).content

    return found


def places(stream: bytes, count: int) -> list[int]:
    """Where to cut: around the ends of events, and anywhere."""
    ends = [match.end() for match in re.finditer(rb"\n\n", stream)]
    chance = random.Random(len(stream))
    near = {end + offset for end in ends for offset in (-2, -1, 0, 1)}
    anywhere = {chance.randrange(1, len(stream)) for _ in range(count)}
    chosen = sorted(place for place in near | anywhere if 0 < place < len(stream))
    return chosen if len(chosen) <= count else sorted(chance.sample(chosen, count))


def up_to(stream: bytes, place: int, then: Play | None) -> Play:
    """The stream's beginning, and then this; None ends the body as if it were whole."""

    def play(peer: Peer) -> None:
        peer.send(chunked(EVENTS) + chunk(stream[:place]))
        if then is None:
            peer.send(chunk(b""))
        else:
            then(peer)

    return play


def is_over(endpoint: str, stream: bytes, place: int, *, ended: bool) -> bool:
    """Whether the beginning has the closing event; at the end of a body the blank line may be missing."""
    found = ENDS[endpoint].search(stream)
    assert found is not None
    blank = stream.index(b"\n\n", found.end())
    return place >= (blank if ended else blank + 2)


def ask(lab: Lab, endpoint: str, play: Play) -> requests.Response:
    """The answer to a streamed call that the upstream answers so."""
    body = {"model": lab.model(play), "stream": True, **BODIES[endpoint]}
    return lab.gateway.request("POST", "/v1" + endpoint, json=body, token=lab.token, headers=SHORT)


def assert_honest(endpoint: str, reply: requests.Response, stream: bytes, place: int, *, whole: bool) -> None:
    """A whole answer is closed, a cut one is an error; nothing is said that the upstream did not say."""
    if whole:
        assert 200 == reply.status_code
        assert CLOSING.search(reply.content)
        return
    if reply.status_code != 200:
        assert "error" in reply.json()
        return
    assert not CLOSING.search(reply.content)
    told, _, last = reply.content.rstrip(b"\n").rpartition(b"\n\n")
    assert "error" in json.loads(last.rpartition(b"data: ")[2])
    assert stream[:place].startswith(told.removeprefix(b": orgate is waiting for the model\n\n").rstrip(b"\n"))


@pytest.mark.parametrize("ended", [False, True], ids=["cut", "ended"])
@pytest.mark.parametrize("endpoint", BODIES)
def test_cut_anywhere(lab: Lab, stream_of: Callable[[str], bytes], endpoint: str, ended: bool) -> None:
    """A stream that is cut at any byte, or ends there in good order, is never sold as a whole one."""
    stream = stream_of(endpoint)
    for place in places(stream, 60):
        reply = ask(lab, endpoint, up_to(stream, place, None if ended else Peer.hang_up))

        over = is_over(endpoint, stream, place, ended=ended)
        assert_honest(endpoint, reply, stream, place, whole=over)


@pytest.mark.parametrize("endpoint", BODIES)
def test_stalled_anywhere(lab: Lab, stream_of: Callable[[str], bytes], endpoint: str) -> None:
    """A stream that stalls at any byte is ended with an error, or closed when it had its closing event."""
    stream = stream_of(endpoint)
    for place in [*places(stream, 8), len(stream)]:
        reply = ask(lab, endpoint, up_to(stream, place, Peer.hold))

        over = is_over(endpoint, stream, place, ended=False)
        assert_honest(endpoint, reply, stream, place, whole=over)


@pytest.mark.parametrize("endpoint", BODIES)
def test_bytes_pass(lab: Lab, stream_of: Callable[[str], bytes], endpoint: str) -> None:
    """A whole stream passes byte for byte, and a connection that stays open behind it is not waited for."""
    stream = stream_of(endpoint)

    assert stream == ask(lab, endpoint, up_to(stream, len(stream), Peer.hold)).content


@pytest.mark.parametrize("endpoint", ["/messages", "/responses"])
def test_done_instead_of_the_end(lab: Lab, stream_of: Callable[[str], bytes], endpoint: str) -> None:
    """[DONE] in place of the closing event ends nothing, and is not passed on."""
    stream = stream_of(endpoint)
    found = ENDS[endpoint].search(stream)
    assert found is not None
    begun = stream[: stream.rindex(b"\n\n", 0, found.start()) + 2] + b"data: [DONE]\n\n"

    reply = ask(lab, endpoint, up_to(begun, len(begun), None))

    assert_honest(endpoint, reply, begun, len(begun), whole=False)


def test_done_behind_message_stop(lab: Lab, stream_of: Callable[[str], bytes]) -> None:
    """A [DONE] that follows message_stop is no part of Anthropic's stream, and does no harm."""
    stream = stream_of("/messages")

    reply = ask(lab, "/messages", up_to(stream + b"data: [DONE]\n\n", len(stream) + 14, None))

    assert stream == reply.content


@pytest.mark.parametrize("endpoint", BODIES)
def test_plain_for_a_stream(lab: Lab, endpoint: str) -> None:
    """One JSON answer where a stream was asked for is given as the stream that it should be, or is an error."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "text": "Hi", "finish_reason": "stop"}
    answer = {"id": "gen-lab", "model": "lab", "choices": [choice], "content": [{"type": "text", "text": "Hi"}]}
    data = json.dumps({**answer, "status": "completed", "output": [{"type": "message", "content": ["Hi"]}]}).encode()

    reply = ask(lab, endpoint, lambda peer: peer.send(whole(200, JSON, data)))

    if endpoint in ("/chat/completions", "/completions"):
        assert reply.content.endswith(b"data: [DONE]\n\n")
        assert b"Hi" in reply.content
    else:
        assert 502 == reply.status_code
        assert "error" in reply.json()
