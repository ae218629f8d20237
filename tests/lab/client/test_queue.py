"""Apps that would rather wait for their quota than be refused (X-Orgate-Queue)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.lab.client.lab import Lab, comes_true
from tests.lab.client.raw_app import RawApp

_QUEUE = "X-Orgate-Queue: 20"


def _in_line(lab: Lab, app: str) -> int:
    """How many calls of this app wait for its quota."""
    return len(lab.gateway.services.relay._pursuit._turnstile._lines.get(app, ()))


def _send(lab: Lab, app: str, token: str, name: str, *, stream: bool = False) -> RawApp:
    """A call that is in the app's line, or already with OpenRouter, when this returns."""
    waiting = _in_line(lab, app)
    caller = lab.app(token)
    caller.chat("sandbox/ok", _QUEUE, f"x-session-id: {name}", stream=stream)
    assert comes_true(lambda: _in_line(lab, app) > waiting or lab.posts(name))
    return caller


def _names(lab: Lab) -> list[str]:
    return [row["headers"]["x-session-id"] for row in lab.posts()]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_all_finish_in_order(make_lab: Callable[..., Lab], stream: bool) -> None:
    """Five calls against two a second all get their answer, first come first served, and never over the quota."""
    lab = make_lab("2 per second")
    token = lab.gateway.token("batch")
    names = [f"{number}" for number in range(5)]

    callers = [_send(lab, "batch", token, name, stream=stream) for name in names]
    statuses = [caller.reply().status for caller in callers]

    times = [row["at_mono_ns"] / 1e9 for row in lab.posts()]
    assert [200] * 5 == statuses
    assert names == _names(lab)
    # What is counted is the leaving; when it arrives is up to the machine as well.
    assert [] == [
        f"{later - earlier:.2f}" for earlier, later in zip(times, times[2:], strict=False) if later - earlier < 0.7
    ]


def test_leaving_the_line(make_lab: Callable[..., Lab]) -> None:
    """An app's call that leaves the line gives its place to the one behind it and costs no quota."""
    lab = make_lab("1 per 2 seconds")
    token = lab.gateway.token("batch")
    first = _send(lab, "batch", token, "first")
    assert 200 == first.reply().status
    began = time.monotonic()
    second = _send(lab, "batch", token, "second")
    third = _send(lab, "batch", token, "third")

    second.leave()

    assert comes_true(lambda: _in_line(lab, "batch") == 1, within_s=1)
    assert 200 == third.reply().status
    assert time.monotonic() - began < 3.5
    assert ["first", "third"] == _names(lab)


def test_waiting_too_long(make_lab: Callable[..., Lab]) -> None:
    """A call that waited as long as it wished is refused, and told when there is quota again."""
    lab = make_lab("1 per minute")
    token = lab.gateway.token("batch")
    assert 200 == _send(lab, "batch", token, "first").reply().status
    late = lab.app(token)
    began = time.monotonic()
    late.chat("sandbox/ok", "X-Orgate-Queue: 0.5")

    reply = late.reply()

    assert (429, "quota_exceeded", "true") == reply.refusal
    assert 0.4 < time.monotonic() - began < 2
    assert 50 <= int(reply.headers["Retry-After"]) <= 60
    assert ["first"] == _names(lab)


def test_those_who_do_not_wait(make_lab: Callable[..., Lab]) -> None:
    """Nobody passes a line of their own app by not waiting in it; another app is not concerned."""
    lab = make_lab("1 per minute")
    token = lab.gateway.token("batch")
    assert 200 == _send(lab, "batch", token, "first").reply().status
    waiting = _send(lab, "batch", token, "second")
    hasty, other = lab.app(token), lab.app(lab.gateway.token("other"))
    hasty.chat("sandbox/ok", "x-session-id: hasty")
    assert (429, "quota_exceeded", "true") == hasty.reply().refusal
    began = time.monotonic()

    other.chat("sandbox/ok", "x-session-id: other")

    assert 200 == other.reply().status
    assert time.monotonic() - began < 0.5
    assert ["first", "other"] == _names(lab)
    waiting.leave()
