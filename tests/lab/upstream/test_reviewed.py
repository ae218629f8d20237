"""What a reviewer of the attempts found: each was wrong once."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.adapters import upstream as upstream_adapter
from app.adapters.upstream import HttpUpstream, Timeouts
from app.core.errors import GatewayError
from app.core.sse import SseDecoder
from app.services import answers
from tests.lab.client.raw_app import RawApp, pause
from tests.lab.upstream import plays
from tests.lab.upstream.lab import SHORT, Lab, Seen, assert_answered, assert_broken_off
from tests.lab.upstream.plays import DONE, TEXT, USAGE, chunk, ended, good, refusing, said, streaming, streaming_then
from tests.lab.upstream.wire import Peer, Play, full_backlog

WHOLE = {"X-Orgate-Delivery": "whole"}
SOON_S = 10
"""Well above the second that a clock of the test takes, well below the minute that it would take without."""

PLAIN_AND_STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
LIVE_AND_WHOLE = pytest.mark.parametrize("wishes", [{}, WHOLE], ids=["live", "whole"])
ALONE_AND_CHAIN = pytest.mark.parametrize("chain", [False, True], ids=["alone", "chain"])


def _after(seconds: float, then: Play) -> Play:
    """Silence first."""

    def play(peer: Peer) -> None:
        peer.pause(seconds)
        then(peer)

    return play


def _apart(*parts: bytes, seconds: float = 0.05) -> Play:
    """A good end of a stream whose parts come one by one."""

    def play(peer: Peer) -> None:
        peer.send(plays.chunked(plays.EVENTS))
        for part in parts:
            peer.send(chunk(part))
            peer.pause(seconds)
        peer.send(chunk(b""))

    return play


def _choice(index: int = 0, *, text: str = "", reason: str | None = None, **members: Any) -> bytes:
    """An event of one choice."""
    delta = {"content": text}
    return plays.event(choices=[{"index": index, "delta": delta, "finish_reason": reason, **members}])


def _choice_error(code: int) -> bytes:
    """An error that stands inside a choice, where SDKs do not look."""
    return _choice(reason="error", error={"code": code, "message": "Provider said so"})


def _models(lab: Lab, play: Play, *, chain: bool) -> tuple[str, ...]:
    """A model that does this, and perhaps a good one."""
    return (lab.model(play), lab.model(good)) if chain else (lab.model(play),)


def _phases(lab: Lab, seen: Seen) -> list[str]:
    """How far each attempt got, as the app can look it up."""
    lab.settle()
    story = lab.gateway.get(f"/calls/{seen.headers['x-orgate-call-id']}", token=lab.token).json()
    return [tried["phase"] for tried in story["attempts"]]


# The first content's clock


@PLAIN_AND_STREAMED
def test_first_content_clock_runs_from_the_request(make_lab: Callable[..., Lab], stream: bool) -> None:
    """The first content is due so long after the request was sent, whether headers come before it or not."""
    lab = make_lab(orgate_timeout_headers="60")
    silent, other = lab.model(Peer.hold), lab.model(good)
    began = time.monotonic()

    seen = lab.ask(silent, other, stream=stream, wishes={"X-Orgate-First-Content-Timeout": "1"})

    assert 1 <= time.monotonic() - began < SOON_S
    assert_answered(seen, fallbacks=1)
    assert "sent" == _phases(lab, seen)[0]
    lab.check(seen, silent, other)


def test_first_content_clock_as_a_setting(make_lab: Callable[..., Lab]) -> None:
    """The setting is the same clock for every stream, and no clock for plain answers, which take their time."""
    lab = make_lab(orgate_timeout_headers="60", orgate_timeout_first_content="1")
    silent, slow, other = lab.model(Peer.hold), lab.model(_after(1.5, good)), lab.model(good)
    began = time.monotonic()

    streamed = lab.ask(silent, other, stream=True)
    took_s = time.monotonic() - began
    plain = lab.ask(slow, other)

    assert 1 <= took_s < SOON_S
    assert_answered(streamed, fallbacks=1)
    assert_answered(plain)


# Behind comments

EMPTY = streaming(ended(usage=USAGE), DONE)
BEHIND: dict[str, tuple[Play, str]] = {
    "silent": (Peer.hold, "outcome_unknown"),
    "cut": (_after(0.3, streaming_then(Peer.hang_up, plays.COMMENT)), "upstream_truncated"),
    "reset": (_after(0.3, Peer.reset), "outcome_unknown"),
    "refused": (_after(0.3, refusing(404)), "upstream_not_found"),
    "empty": (_after(0.3, EMPTY), "empty_answer"),
}


@pytest.mark.usefixtures("company")
@LIVE_AND_WHOLE
@pytest.mark.parametrize("then", BEHIND)
def test_empty_answer_and_then_none(lab: Lab, then: str, wishes: dict[str, str]) -> None:
    """That an earlier model's empty answer was whole makes no answer of the failure that follows behind comments."""
    play, code = BEHIND[then]
    models = (lab.model(EMPTY), lab.model(play))

    seen = lab.ask(*models, stream=True, wishes=wishes)

    assert seen.body.startswith(b": ")
    assert (200, code) == (seen.status, seen.code)
    assert b"[DONE]" not in seen.body
    assert code == lab.story(seen).outcome
    assert list(models) == lab.told(seen) == lab.sent(*models)
    lab.check(seen, *models)


@pytest.mark.usefixtures("company")
def test_nothing_but_done(lab: Lab) -> None:
    """A stream that says [DONE] and nothing else is no answer, also behind comments and without a chain."""
    model = lab.model(_after(0.3, streaming(DONE)))

    seen = lab.ask(model, stream=True)

    assert "empty_answer" == seen.code == lab.story(seen).outcome
    assert b"[DONE]" not in seen.body
    lab.check(seen, model)


@pytest.mark.usefixtures("company")
def test_no_quota_behind_comments(make_lab: Callable[..., Lab]) -> None:
    """The same when it is the app's quota that ends the chain."""
    lab = make_lab(orgate_rate_chat="1 per minute")
    models = (lab.model(_after(0.3, EMPTY)), lab.model(good))

    seen = lab.ask(*models, stream=True)

    assert "quota_exceeded" == seen.code == lab.story(seen).outcome
    assert b"[DONE]" not in seen.body
    assert [models[0]] == lab.sent(*models)


# Delivered whole

ENDS: dict[str, Play] = {"open": Peer.hold, "reset": _after(0.1, Peer.reset), "cut": Peer.hang_up}


@LIVE_AND_WHOLE
@ALONE_AND_CHAIN
@pytest.mark.parametrize("then", ENDS)
def test_said_its_end_and_broke(lab: Lab, then: str, chain: bool, wishes: dict[str, str]) -> None:
    """An answer with its finish_reason and its usage is whole, however its connection ends: nobody is paid twice."""
    models = _models(lab, streaming_then(ENDS[then], said(), ended(usage=USAGE)), chain=chain)

    seen = lab.ask(*models, stream=True, wishes=wishes)

    assert_answered(seen)
    assert said() + ended(usage=USAGE) + DONE == seen.body
    usage = lab.story(seen).usage
    assert usage is not None
    assert 19_000 == usage.cost
    assert [models[0]] == lab.sent(*models)
    lab.check(seen, *models)


@LIVE_AND_WHOLE
def test_last_event_without_its_blank_line(lab: Lab, wishes: dict[str, str]) -> None:
    """A last event that the end of the body completes is delivered once."""
    parts = (said(), ended(usage=USAGE))

    seen = lab.ask(lab.model(streaming(parts[0], parts[1][:-1])), stream=True, wishes=wishes)

    assert SseDecoder().feed(b"".join(parts) + DONE) == SseDecoder().feed(seen.body)


@LIVE_AND_WHOLE
def test_all_at_once_and_left_open(lab: Lab, wishes: dict[str, str]) -> None:
    """An answer that comes whole in its first chunk, without [DONE], is ended as promptly as any other."""
    began = time.monotonic()

    seen = lab.ask(lab.model(streaming_then(Peer.hold, said() + ended(usage=USAGE))), stream=True, wishes=wishes)

    assert_answered(seen)
    assert time.monotonic() - began < SOON_S


FLAGGED = {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}


@pytest.mark.parametrize("then", [Peer.hold, Peer.hang_up], ids=["open", "cut"])
def test_refusal_of_the_content_in_a_whole_answer(lab: Lab, then: Play) -> None:
    """A refusal for the content is told as such, however its connection ends; the prompt goes to no other model."""
    models = _models(lab, streaming_then(then, said(), plays.error_event(**FLAGGED)), chain=True)

    seen = lab.ask(*models, stream=True, wishes=WHOLE)

    assert (403, ["violence"]) == (seen.status, seen.error["metadata"]["reasons"])
    assert [models[0]] == lab.told(seen) == lab.sent(*models)
    lab.check(seen, *models)


@pytest.mark.parametrize("code", [400, 401, 413, 422, 502])
def test_providers_error_in_a_whole_answer(make_lab: Callable[..., Lab], code: int) -> None:
    """What the provider says after OpenRouter had taken the request is no fault of the request: the chain moves on."""
    lab = make_lab()
    models = _models(lab, streaming(said(), plays.error_event(code=code, message="Provider said so")), chain=True)

    seen = lab.ask(*models, stream=True, wishes=WHOLE)

    assert_answered(seen, fallbacks=1)
    assert list(models) == lab.sent(*models)
    lab.check(seen, *models)


@ALONE_AND_CHAIN
def test_too_large_a_whole_answer(lab: Lab, chain: bool) -> None:
    """An answer that is larger than what is kept of one is let go, and not kept on growing."""
    sent = []
    part = chunk(said("x" * 2**20))

    def floods(peer: Peer) -> None:
        peer.send(plays.chunked(plays.EVENTS))
        while True:
            peer.send(part)
            sent.append(len(part))

    models = _models(lab, floods, chain=chain)

    seen = lab.ask(*models, stream=True, wishes=WHOLE)

    if chain:
        assert_answered(seen, fallbacks=1)
    else:
        assert (502, "upstream_too_large") == (seen.status, seen.code)
    assert answers._MOST_KEPT <= sum(sent) < answers._MOST_KEPT + 16 * 2**20
    lab.check(seen, *models)


# Connecting


@PLAIN_AND_STREAMED
def test_time_is_up_while_connecting(make_lab: Callable[..., Lab], stream: bool) -> None:
    """The call's time ends it also while OpenRouter's connection is not taken."""
    with full_backlog() as port:
        lab = make_lab(openrouter_base_url=f"http://127.0.0.1:{port}/api/v1", orgate_timeout_connect="60")
        began = time.monotonic()

        seen = lab.ask("lab/first", stream=stream, wishes={"X-Orgate-Timeout": "1"})

        took_s = time.monotonic() - began
    assert (504, "timeout_error", "call_timeout", "false") == seen.refusal
    assert 1 <= took_s < SOON_S
    assert ["connecting"] == _phases(lab, seen)
    lab.check(seen, "lab/first")


def _resolve(monkeypatch: pytest.MonkeyPatch, *ports: int) -> str:
    """A name that has these addresses, one after the other."""
    resolve = socket.getaddrinfo

    def resolved(host: str, *rest: Any, **more: Any) -> Any:
        if host != "many.test":
            return resolve(host, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return "http://many.test"


def test_addresses_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses a name has, together they have one connect time-out."""
    with full_backlog() as port:
        upstream = HttpUpstream(_resolve(monkeypatch, *[port] * 20), timeouts=Timeouts(connect=1))
        attempt = upstream.post("/chat/completions", b"{}", {}, key="k", stream=False)
        began = time.monotonic()

        with pytest.raises(GatewayError) as raised:
            attempt.send()

        took_s = time.monotonic() - began
    assert "upstream_unreachable" == raised.value.code
    assert "connecting" == attempt.phase.name.lower()
    assert 1 <= took_s < SOON_S


def test_next_address(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    """An address that does not answer leaves time for the next one."""
    model = lab.model(good)
    body = json.dumps({"model": model}).encode()
    with full_backlog() as port:
        upstream = HttpUpstream(_resolve(monkeypatch, port, lab.upstream.port), timeouts=Timeouts(connect=1))

        found = upstream.post("/chat/completions", body, {}, key="k", stream=False).send()

        assert (200, TEXT) == (found.status, json.loads(found.read())["choices"][0]["message"]["content"])
    upstream.forget()


@pytest.mark.parametrize("when", ["resolving", "connecting"])
def test_cancelled_before_it_is_connected(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Who cancels an attempt wakes it also while its address is looked up or its connection not taken."""
    with full_backlog() as port:
        upstream = HttpUpstream(_resolve(monkeypatch, *[port] * 3), timeouts=Timeouts(connect=60))
        attempt = upstream.post("/chat/completions", b"{}", {}, key="k", stream=False)
        resolve = socket.getaddrinfo

        def resolved(*given: Any, **more: Any) -> Any:
            found = resolve(*given, **more)
            if when == "resolving":
                attempt.cancel()
            return found

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        if when == "connecting":
            threading.Timer(0.5, attempt.cancel).start()
        began = time.monotonic()

        with pytest.raises(GatewayError) as raised:
            attempt.send()

    assert "cancelled" == raised.value.code
    assert time.monotonic() - began < SOON_S


def test_silence_empties_the_pool(make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    """When one connection was silent for long the other idle ones are given up: the network may be another one now."""
    monkeypatch.setattr(upstream_adapter, "_LONG_S", 0.3)
    lab = make_lab()
    together, dead = threading.Barrier(4), set[int]()

    def play(peer: Peer) -> None:
        if peer.post.connection in dead:
            peer.hold()
        if not dead:
            together.wait(5)
        good(peer)

    model = lab.model(play)
    with ThreadPoolExecutor(4) as apps:
        first = list(apps.map(lambda _: lab.ask(model), range(4)))
    dead |= {post.connection for post in lab.upstream.posts}

    later = [lab.ask(model).status for _ in range(3)]

    assert [200] * 4 == [seen.status for seen in first]
    assert 4 == len(dead)
    assert [504, 200, 200] == later


# What counts as an answer

DETAILS = _choice(delta={"content": "", "reasoning_details": [{"type": "reasoning.encrypted", "data": "abc"}]})
PING = plays.event(type="ping")


@LIVE_AND_WHOLE
def test_reasoning_details_are_progress(lab: Lab, wishes: dict[str, str]) -> None:
    """A model that sends reasoning as details only is at work, for longer than either clock."""
    play = _apart(*[DETAILS] * 15, said() + ended(usage=USAGE) + DONE, seconds=0.1)
    clocks = {"X-Orgate-First-Content-Timeout": "1", "X-Orgate-Idle-Timeout": "1"}

    seen = lab.ask(lab.model(play), stream=True, wishes={**wishes, **clocks})

    assert_answered(seen)
    assert 15 == seen.body.count(b"reasoning.encrypted")


def test_unknown_event_commits_nothing(lab: Lab) -> None:
    """An event of a kind that nobody knows is no content: when nothing else comes the chain moves on."""
    models = _models(lab, streaming_then(Peer.hang_up, PING), chain=True)

    seen = lab.ask(*models, stream=True)

    assert_answered(seen, fallbacks=1)
    assert b"ping" not in seen.body
    lab.check(seen, *models)


@LIVE_AND_WHOLE
def test_unknown_event_is_passed_on(lab: Lab, wishes: dict[str, str]) -> None:
    """It reaches the app as it came, before the content and within it."""
    parts = (PING, said(), PING, ended(usage=USAGE), DONE)

    seen = lab.ask(lab.model(_apart(*parts)), stream=True, wishes=wishes)

    assert b"".join(parts) == seen.body


@LIVE_AND_WHOLE
def test_late_second_choice(lab: Lab, wishes: dict[str, str]) -> None:
    """Of two answers the second may begin long after the first has ended."""
    parts = (said(), ended(), _choice(1, text="Or so.") + _choice(1, reason="stop") + DONE)

    seen = lab.ask(lab.model(_apart(*parts, seconds=1)), stream=True, wishes=wishes, n=2)

    assert b"".join(parts) == seen.body


# Ends


def _with_cr(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
@pytest.mark.parametrize("ends", [bytes, _with_cr], ids=["lf", "cr"])
def test_no_done_before_the_error(lab: Lab, ends: Callable[[bytes], bytes], together: bool) -> None:
    """An error inside a choice is told where SDKs look, and no [DONE] comes before it, whatever ends the lines."""
    last = (_choice_error(502) + DONE,) if together else (_choice_error(502), DONE)

    seen = lab.ask(lab.model(_apart(*[ends(part) for part in (said(), *last)])), stream=True)

    assert b"[DONE]" not in seen.body
    assert ends(said() + _choice_error(502)) == seen.body[: len(said() + _choice_error(502))]
    assert "error" == json.loads(seen.body.rpartition(b"data: ")[2])["choices"][0]["finish_reason"]
    assert "Provider said so" == json.loads(seen.body.rpartition(b"data: ")[2])["error"]["message"]
    assert "error_in_stream" == lab.story(seen).outcome


AFTER = said("Afterwards")


@LIVE_AND_WHOLE
@pytest.mark.parametrize("ends", [bytes, _with_cr], ids=["lf", "cr"])
@pytest.mark.parametrize(
    "parts",
    [(said() + ended(usage=USAGE) + DONE + AFTER,), (said(), ended(usage=USAGE) + DONE + AFTER, AFTER)],
    ids=["first-chunk", "later-chunk"],
)
def test_nothing_follows_done(
    lab: Lab, parts: tuple[bytes, ...], ends: Callable[[bytes], bytes], wishes: dict[str, str]
) -> None:
    """What comes after [DONE] is no part of the answer, also in the same chunk."""
    seen = lab.ask(lab.model(_apart(*map(ends, parts))), stream=True, wishes=wishes)

    assert ends(said() + ended(usage=USAGE) + DONE) == seen.body


# Breakers


def test_cut_streams_open_the_breaker(lab: Lab) -> None:
    """A model whose streams break off three times in a row is passed over by a chain."""
    models = _models(lab, streaming_then(Peer.hang_up, said()), chain=True)
    for _ in range(3):
        assert_broken_off(lab.ask(*models, stream=True), "upstream_truncated")

    fourth = lab.ask(*models, stream=True)

    assert_answered(fourth)
    assert [models[0]] * 3 + [models[1]] == lab.sent(*models)


def test_models_that_a_call_may_not_have(lab: Lab) -> None:
    """A model that has no provider for one app's preferences is well for the others."""
    model = lab.model(*[refusing(404)] * 3, good)
    for _ in range(3):
        assert 404 == lab.ask(model, provider={"only": ["nobody"]}).status

    assert_answered(lab.ask(model, lab.model(good)))
    assert [model] * 4 == lab.sent(model)


HASTY = {
    "first-content": {"X-Orgate-First-Content-Timeout": "0.1"},
    "idle": {"X-Orgate-Idle-Timeout": "0.1"},
}


@pytest.mark.parametrize("clock", HASTY)
def test_hasty_clocks_are_no_proof(lab: Lab, clock: str) -> None:
    """An app that gives a model no time does not have it passed over for the others."""
    parts = (said("Well "),) if clock == "idle" else ()
    model = lab.model(*[streaming_then(Peer.hold, *parts)] * 3, good)
    for _ in range(3):
        assert lab.ask(model, stream=True, wishes=HASTY[clock]).code in ("upstream_silent", "upstream_stalled")

    assert_answered(lab.ask(model, lab.model(good)))
    assert [model] * 4 == lab.sent(model)


@pytest.mark.parametrize("shape", ["plain", "streamed", "after-content"])
def test_providers_key(make_lab: Callable[..., Lab], shape: str) -> None:
    """A key that a provider refuses inside an answer is not ours: no other app is kept from sending."""
    lab = make_lab()
    broken = {"index": 0, "finish_reason": "error", "error": {"code": 401, "message": "Bad provider key"}}
    bad = lab.model(
        {
            "plain": plays.answering(200, plays.JSON, plays.answer(choices=[{**broken, "message": {"content": "x"}}])),
            "streamed": streaming(_choice_error(401), DONE),
            "after-content": _apart(said(), _choice_error(401), DONE),
        }[shape]
    )
    told = lab.ask(bad, stream=shape != "plain")

    other = lab.gateway.chat(lab.model(good), token=lab.gateway.token("other"))

    assert b"rovider" in told.body
    assert 200 == other.status_code
    assert lab.gateway.services.breakers.state()["everything"] is None


# What is told


@pytest.mark.usefixtures("company")
def test_headers_before_anything_was_asked(make_lab: Callable[..., Lab]) -> None:
    """A stream whose headers go out while it waits for its quota tells of no fallbacks, and of no less than none."""
    lab = make_lab(orgate_rate_chat="1 per second")
    model = lab.model(good)
    assert_answered(lab.ask(model))

    seen = lab.ask(model, stream=True, wishes={"X-Orgate-Queue": "20"})

    assert seen.body.startswith(b": ")
    assert_answered(seen)


def test_quota_in_the_middle(make_lab: Callable[..., Lab]) -> None:
    """A quota that ends a call which was tried already asks for no repetition: that would multiply the attempts."""
    lab = make_lab(orgate_rate_chat="1 per minute")
    busy = lab.model(refusing(429, {"Retry-After": "0"}))

    after_one, before_any = lab.ask(busy), lab.ask(busy)

    assert (429, "rate_limit_error", "quota_exceeded", "false") == after_one.refusal
    assert [busy] == lab.told(after_one) == lab.sent(busy)
    assert (429, "rate_limit_error", "quota_exceeded", "true") == before_any.refusal


def test_late_after_a_pause_of_the_app(make_lab: Callable[..., Lab]) -> None:
    """OpenRouter may be late by as long as the app held it up: its sender tries again ever more seldom meanwhile."""
    lab, resumed = make_lab(), threading.Event()
    for listener in lab.gateway.server.sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def play(peer: Peer) -> None:
        peer.send(plays.chunked(plays.EVENTS) + chunk(said("x" * 400) * 1000))
        resumed.wait(10)
        peer.pause(1.2)
        peer.send(chunk(said()) + chunk(ended(usage=USAGE)) + chunk(DONE) + chunk(b""))

    app = RawApp(lab.gateway, lab.token, buffer=4096)
    app.chat(lab.model(play), "X-Orgate-Idle-Timeout: 0.5", stream=True)
    app.read_until(b"data: ")
    pause(2.0)
    resumed.set()
    reply = app.reply_rest(b"0\r\n\r\n")
    app.socket.close()

    assert TEXT.encode() in reply
    assert DONE in reply
    assert b'"error"' not in reply


STREAMED_SO_FAR: dict[str, tuple[Play, list[str]]] = {
    "sent": (Peer.hold, ["sent", "ended"]),
    "headers": (streaming_then(Peer.hold), ["headers", "ended"]),
    "streaming": (streaming_then(Peer.hold, plays.COMMENT), ["streaming", "ended"]),
    "refused": (refusing(404), ["ended", "ended"]),
    "cut": (streaming_then(Peer.hang_up, said()), ["committed"]),
    "whole": (good, ["ended"]),
}


@pytest.mark.parametrize("phase", STREAMED_SO_FAR)
def test_phases(lab: Lab, phase: str) -> None:
    """The story of a call says of each attempt how far it got."""
    play, phases = STREAMED_SO_FAR[phase]
    models = _models(lab, play, chain=True)

    seen = lab.ask(*models, stream=True, wishes=SHORT)

    assert phases == _phases(lab, seen)


def test_phases_of_plain_answers(lab: Lab) -> None:
    """Also of plain ones."""
    models = _models(lab, plays.sending(plays.chunked(plays.JSON) + chunk(b" ")), chain=True)

    seen = lab.ask(*models)

    assert ["streaming", "ended"] == _phases(lab, seen)


def test_phase_before_anything_was_sent(make_lab: Callable[..., Lab]) -> None:
    """A refused connection is one that was being made."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    lab = make_lab(openrouter_base_url=f"http://127.0.0.1:{port}/api/v1")

    assert ["connecting"] * 3 == _phases(lab, lab.ask("lab/first"))
