"""The laboratory: a gateway in front of the raw upstream, what an app saw of a call, and what is left after it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.calls import CallReport
from app.sandbox.server import Sandbox
from tests.gateway import Gateway, running_gateway
from tests.lab.upstream.plays import TEXT
from tests.lab.upstream.wire import Play, RawUpstream

SHORT = {"X-Orgate-First-Content-Timeout": "0.25", "X-Orgate-Idle-Timeout": "0.25"}
"""Clocks for rows in which nothing comes."""

_WITHIN_S = 5.0
_IDLE_THREADS = ("orgate-", "lab-upstream", "MainThread", "sandbox", "Thread-")


@dataclass(frozen=True)
class Seen:
    """What the app saw of one call."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_stream(self) -> bool:
        """It came as events."""
        return self.headers["Content-Type"].startswith("text/event-stream")

    @property
    def events(self) -> list[bytes]:
        """The data of its events, without comments."""
        return [part[6:] for part in self.body.split(b"\n\n") if part.startswith(b"data: ")]

    @property
    def error(self) -> dict[str, Any]:
        """The error it was told: the body's, or that of the last event."""
        told = json.loads(self.events[-1] if self.is_stream else self.body)
        found: dict[str, Any] = told["error"]
        return found

    @property
    def code(self) -> str:
        """The error's code, which an event has in its metadata: there `code` is a number."""
        error = self.error
        return str(error["metadata"]["error_type"] if self.is_stream else error["code"])

    @property
    def text(self) -> str:
        """The content of all of it."""
        if not self.is_stream:
            return str(json.loads(self.body)["choices"][0]["message"]["content"])
        told = [json.loads(data) for data in self.events if data != b"[DONE]"]
        return "".join(each["choices"][0]["delta"].get("content") or "" for each in told if each.get("choices"))

    @property
    def refusal(self) -> tuple[int, str, str, str]:
        """Status, type, code and x-should-retry."""
        error = self.error
        return self.status, error["type"], error["code"], self.headers["x-should-retry"]

    @property
    def steps(self) -> tuple[str, str]:
        """How many other models and how many repeats it took, by the headers."""
        return self.headers["x-orgate-attempted-fallbacks"], self.headers["x-orgate-attempted-retries"]


class Lab:
    """One gateway and its upstream."""

    def __init__(self, gateway: Gateway, upstream: RawUpstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.token = gateway.token("lab")
        self._count = iter(range(10**6))
        # Back-off waits are random; here they are as good as none. test_waits.py has the real ones.
        gateway.services.relay._pursuit._jitter = lambda: 0.01

    def model(self, *plays: Play, suffix: str = "", name: str = "") -> str:
        """A model of its own that answers so."""
        model = (name or f"lab/{id(self):x}-{next(self._count)}") + suffix
        self.upstream.script(model, *plays)
        return model

    def ask(self, *models: str, stream: bool = False, wishes: Mapping[str, str] | None = None, **body: Any) -> Seen:
        """A call to this chain, and all of its answer."""
        chain: dict[str, Any] = {"models": list(models[1:])} if len(models) > 1 else {}
        text = body.pop("text", "Hello")
        response = self.gateway.chat(
            models[0], text, token=self.token, headers=wishes or {}, stream=stream, **chain, **body
        )
        with response:
            return Seen(response.status_code, response.headers, response.content)

    def story(self, seen: Seen) -> CallReport:
        """What the gateway recorded of the call."""
        self.settle()
        found = self.gateway.services.stories.find(seen.headers["x-orgate-call-id"], "lab")
        assert found is not None
        return found

    def sent(self, *models: str) -> list[str]:
        """The models of the POSTs that the upstream received, in order."""
        return [post.model for post in self.upstream.posts_for(*models)]

    def settle(self) -> None:
        """Wait until no call runs and no lane works."""
        relay = self.gateway.services.relay
        with relay._idle:
            assert relay._idle.wait_for(lambda: not relay._running, _WITHIN_S), "a call still runs"
        self.gateway.server._lanes.wait_idle(_WITHIN_S)

        assert 0 == self.gateway.server._lanes._calls._load

    def check(self, seen: Seen, *models: str) -> None:
        """The record tells what the upstream saw, and nothing of the call is left."""
        story = self.story(seen)

        # What was read before the body was there is an attempt as well, though not one that was sent.
        recorded = [
            tried["model"] for tried in story.attempts if tried["sent"] or tried["model"] in self.upstream.hasty
        ]
        assert self.sent(*models) == recorded
        assert set() == self.gateway.services.relay._watch._runs
        for post in self.upstream.posts_for(*models):
            assert post.over.wait(_WITHIN_S), f"the connection of {post.model} is still open"
        strange = [thread.name for thread in threading.enumerate() if not thread.name.startswith(_IDLE_THREADS)]
        assert [] == strange, strange

    def told(self, seen: Seen) -> list[str]:
        """The models in error.details.attempts."""
        return [tried["model"] for tried in seen.error["details"]["attempts"]]


def assert_answered(seen: Seen, *, fallbacks: int = 0, retries: int = 0) -> None:
    """The app has the good answer, whole, and knows what it took."""
    assert (200, TEXT) == (seen.status, seen.text)
    assert (str(fallbacks), str(retries)) == seen.steps
    if seen.is_stream:
        assert b"[DONE]" == seen.events[-1]


def assert_broken_off(seen: Seen, code: str, text: str = TEXT) -> None:
    """The app had some content, then the error event, and no [DONE] anywhere."""
    assert (200, text, code) == (seen.status, seen.text, seen.code)
    assert b"[DONE]" not in seen.body
    assert "error" == json.loads(seen.events[-1])["choices"][0]["finish_reason"]


@contextmanager
def laboratory(sandbox: Sandbox, folder: Path, **settings: str) -> Iterator[Lab]:
    """A gateway with short clocks and large quotas in front of a raw upstream."""
    with RawUpstream() as upstream:
        given = {
            "openrouter_base_url": upstream.url,
            "openrouter_background_refresh": "false",
            "orgate_rate_chat": "100000 per minute",
            "orgate_timeout_headers": "0.7",
            "orgate_timeout_connect": "0.4",
            **settings,
        }
        with running_gateway(sandbox, folder, **given) as gateway:
            yield Lab(gateway, upstream)
