from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.sandbox.server import Sandbox
from tests.lab.upstream import plays
from tests.lab.upstream.lab import SHORT, Lab, assert_answered, laboratory
from tests.lab.upstream.plays import HTML, JSON, PAGE, good, refusing, sending, streaming_then, whole
from tests.lab.upstream.wire import Peer


def test_failing_model_is_skipped(lab: Lab) -> None:
    """After three failures a chain passes the model over; alone it is still asked."""
    bad, other = lab.model(Peer.reset), lab.model(good)
    for _ in range(3):
        assert_answered(lab.ask(bad, other), fallbacks=1)

    fourth, alone = lab.ask(bad, other), lab.ask(bad)

    assert_answered(fourth)
    assert 504 == alone.status
    assert [bad, other] * 3 + [other, bad] == lab.sent(bad, other)


def test_chain_of_resting_models(lab: Lab) -> None:
    """A chain whose models all rest asks its first anyway, and its success closes the breaker."""
    models = [lab.model(*([Peer.reset] * 3), good) for _ in range(2)]
    for _ in range(3):
        assert 504 == lab.ask(*models).status

    assert_answered(lab.ask(*models))
    assert_answered(lab.ask(*models))
    assert models * 3 + [models[0]] * 2 == lab.sent(*models)


def test_what_is_not_the_models_fault(lab: Lab) -> None:
    """Refusals of the request do not open its breaker."""
    bad, other = lab.model(refusing(400), refusing(400), refusing(400), refusing(400), good), lab.model(good)
    for _ in range(4):
        assert 400 == lab.ask(bad, other).status

    assert_answered(lab.ask(bad, other))
    assert [bad] * 5 == lab.sent(bad, other)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_refused_key_stops_everything(
    shared_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """After a 401 nothing is sent, to no model and for no app, until the key is another one."""
    key = tmp_path / "key"
    key.write_text("sk-or-v1-" + "a" * 64)
    monkeypatch.setenv("OPENROUTER_API_KEY_FILE", str(key))
    settings = {"openrouter_api_key": "", "openrouter_api_key_file": str(key)}
    with laboratory(shared_sandbox, tmp_path / "state", **settings) as lab:
        bad, other = lab.model(refusing(401), good), lab.model(good)
        first = lab.ask(bad, stream=stream)

        second = lab.ask(other, bad, stream=stream)
        sent = lab.sent(bad, other)
        key.write_text("sk-or-v1-" + "b" * 63)
        third = lab.ask(other, stream=stream)

    assert (401, "upstream_key_refused") == (first.status, first.error["code"])
    assert (401, "upstream_key_refused") == (second.status, second.error["code"])
    assert [bad] == sent
    assert [(other, False)] == [(tried["model"], tried["sent"]) for tried in second.error["details"]["attempts"]]
    assert_answered(third)


def test_empty_account_stops_paid_models(make_lab: Callable[..., Lab]) -> None:
    """After a 402 no paid model is asked while the balance stays; a free one is."""
    lab = make_lab()
    paid, other, free = lab.model(refusing(402)), lab.model(good), lab.model(good, suffix=":free")
    assert 402 == lab.ask(paid).status

    refused, answered = lab.ask(other), lab.ask(free)

    assert (402, "insufficient_credits") == (refused.status, refused.error["code"])
    assert_answered(answered)
    assert [paid, free] == lab.sent(paid, other, free)


def test_retry_after_is_waited_for(lab: Lab) -> None:
    """The repeat comes after Retry-After, not before; the answer tells that there was one."""
    model = lab.model(refusing(429, {"Retry-After": "1"}), good)

    seen = lab.ask(model)
    first, second = lab.upstream.posts_for(model)

    assert_answered(seen, retries=1)
    assert 1.0 <= second.began - first.began < 3


@pytest.mark.parametrize(("wait", "sends"), [("1", 2), ("6", 1)], ids=["U32-1-s", "U32-6-s"])
def test_wait_with_another_model_left(lab: Lab, wait: str, sends: int) -> None:
    """While another model is left a wait of more than 5 s is not taken."""
    bad, other = lab.model(refusing(429, {"Retry-After": wait}), refusing(404)), lab.model(good)

    began = time.monotonic()
    seen = lab.ask(bad, other)

    assert_answered(seen, fallbacks=1, retries=sends - 1)
    assert time.monotonic() - began < 4
    lab.check(seen, bad, other)


def test_no_descriptor_is_left(lab: Lab) -> None:
    """Calls that fail in the middle leave no socket open, whatever the collector does."""
    faults = (streaming_then(Peer.hang_up, plays.said()), streaming_then(Peer.hang_up), Peer.reset, refusing(500))
    models = [lab.model(fault) for fault in faults]
    for model in models:
        lab.story(lab.ask(model, stream=True))
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for model in models * 5:
            lab.story(lab.ask(model, stream=True))
        after = len(os.listdir("/proc/self/fd"))
    finally:
        gc.enable()

    assert after - before <= 6


def test_connection_of_a_failure(make_lab: Callable[..., Lab]) -> None:
    """The next attempt goes out on a connection of its own: servers like to close after a refusal without saying so."""
    lab = make_lab()
    bad, other = lab.model(refusing(404)), lab.model(good)

    assert_answered(lab.ask(bad, other), fallbacks=1)
    assert_answered(lab.ask(other))
    first, second, third = (post.connection for post in lab.upstream.posts)
    assert first != second == third


def test_cancelled_attempts_end_soon(lab: Lab) -> None:
    """The connection of a silent model is closed before the next one is asked, not after the call."""
    silent = lab.model(streaming_then(Peer.hold))
    closed = threading.Event()

    def asks_whether_closed(peer: Peer) -> None:
        if lab.upstream.posts_for(silent)[0].gone.wait(1):
            closed.set()
        good(peer)

    seen = lab.ask(silent, lab.model(asks_whether_closed), stream=True, wishes=SHORT)

    assert_answered(seen, fallbacks=1)
    assert closed.is_set()


CATALOGUE = whole(200, JSON, json.dumps({"data": [{"id": "lab/a"}]}).encode())


@pytest.mark.parametrize("fault", ["html", "503", "cut", "reset"], ids=lambda fault: f"U64-{fault}")
def test_catalogue_fails(make_lab: Callable[..., Lab], fault: str) -> None:
    """When /models fails the last good list is served, and the failure is never kept."""
    lab = make_lab()
    lab.upstream.gets["/api/v1/models"] = CATALOGUE
    first = lab.gateway.get("/models")
    lab.upstream.gets["/api/v1/models"] = {
        "html": whole(200, HTML, PAGE),
        "503": whole(503, HTML, PAGE),
        "cut": plays.head(200, {**JSON, "Content-Length": "9999"}) + b'{"data": [',
        "reset": b"",
    }[fault]

    second = lab.gateway.get("/models?force=true")

    assert (200, first.content) == (second.status_code, second.content)


@pytest.mark.parametrize("stream", [False, True], ids=["U65-plain", "U65-streamed"])
def test_stale_connection(make_lab: Callable[..., Lab], stream: bool) -> None:
    """A connection that died in the pool is noticed before anything is sent on it."""
    lab = make_lab()
    warm = lab.model(lambda peer: (good(peer), peer.hang_up()))
    following = lab.model(good)
    assert_answered(lab.ask(warm, stream=stream))
    assert lab.upstream.posts_for(warm)[0].over.wait(5)

    seen = lab.ask(following, stream=stream)

    assert_answered(seen)
    assert [following] == lab.sent(following)
    lab.check(seen, following)


def test_lost_by_the_network(lab: Lab) -> None:
    """Bytes that stop after half of the headers are no answer."""
    model = lab.model(sending(b"HTTP/1.1 200 OK\r\nContent-"))

    seen = lab.ask(model)

    assert (504, "timeout_error", "outcome_unknown", "false") == seen.refusal
    lab.check(seen, model)
