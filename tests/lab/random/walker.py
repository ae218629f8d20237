"""One app of the random walk: it makes calls and says what was wrong with them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.calls import CallReport
from tests.lab.client.lab import Lab, comes_true
from tests.lab.client.raw_app import DONE, RawApp, Reply, pause
from tests.lab.random.deck import Step

_GRACE_S = 2.0
_SDK_RETRIES = 2


class Walker:
    """Makes one call after the other under a name and a token of its own."""

    def __init__(self, lab: Lab, name: str, texts: Mapping[str, str]) -> None:
        self._lab = lab
        self._name = name
        self._token = lab.gateway.token(name)
        self._texts = texts
        self.sent: dict[str, int] = {}
        """How many chats each session had sent when its story was told: there must not be more later."""
        self.outcomes: Counter[str] = Counter()

    def walk(self, step: Step, number: int) -> list[str]:
        """Make the calls of this step: what was wrong with them."""
        per_model: Counter[str] = Counter()
        problems: list[str] = []
        for again in range(1 + _SDK_RETRIES * (step.manner == "sdk")):
            session = f"{self._name}-{number}-{again}"
            newest = self._lab.sandbox.backend.journal._next - 1
            before = self._lab.story(self._name)
            began = time.monotonic()
            reply = self._call(step, session)
            took_s = time.monotonic() - began
            if took_s > step.total_s + _GRACE_S:
                problems.append(f"took {took_s:.2f} s")
            story = self._story(reply, before)
            posts = self._posts(session, newest, story)
            per_model.update(posts)
            self.sent[session] = len(posts)
            self.outcomes[story.outcome if story else "never began"] += 1
            # Of a request whose sending was broken off nobody can say whether OpenRouter saw it.
            unsure = 1 if story is not None and story.outcome == "left" else 0
            if abs(len(posts) - _sent(story)) > unsure:
                told = (story.outcome, story.attempts) if story else None
                problems.append(f"{len(posts)} POSTs {posts}, story {told}")
            if reply is not None:
                answered_by = story.attempts[-1]["model"] if story and story.attempts else ""
                problems += self._judge(step, reply, str(answered_by))
            if reply is None or reply.status == 200 or reply.headers["x-should-retry"] != "true":
                break
        problems += [f"{count} POSTs to {model}" for model, count in per_model.items() if count > 3]
        return problems

    def _call(self, step: Step, session: str) -> Reply | None:
        first, *others = step.models
        with RawApp(self._lab.gateway, self._token, buffer=4096 if step.manner == "slow" else 0) as app:
            app.chat(first, f"x-session-id: {session}", *step.wishes, stream=step.stream, models=others)
            if step.manner == "leaves":
                pause(step.stays_s)
                app.leave("rst" if step.rude else "fin")
                return None
            return _slowly(app) if step.manner == "slow" else app.reply()

    def _story(self, reply: Reply | None, before: CallReport | None) -> CallReport | None:
        """What the gateway recorded of the call; None when the app left before there was one."""
        if reply is not None:
            stories, call_id = self._lab.gateway.services.stories, reply.headers["x-orgate-call-id"]
            comes_true(lambda: stories.find(call_id, self._name), within_s=_GRACE_S)
            return stories.find(call_id, self._name)
        comes_true(lambda: self._lab.story(self._name) is not before, within_s=_GRACE_S)
        found = self._lab.story(self._name)
        return found if found is not before else None

    def _posts(self, session: str, after: int, story: CallReport | None) -> list[str]:
        """The models of the chats that the sandbox saw for this session, once they are as many as were recorded."""

        def seen() -> list[str]:
            rows = self._lab.sandbox.log(after)
            # One that was broken off while it was sent was never whole, and nobody counts it as sent.
            return [str(row["model"]) for row in rows if row["headers"].get("x-session-id") == session and row["model"]]

        comes_true(lambda: len(seen()) == _sent(story), within_s=_GRACE_S)
        return seen()

    def _judge(self, step: Step, reply: Reply, model: str) -> list[str]:
        if not reply.whole:
            return ["the answer's framing broke off"]
        if reply.status != 200:
            return _wrong_error(json.loads(reply.body))
        body = reply.body.replace(b"\r\n", b"\n")
        said = list(_stream_said(body)) if step.stream else [json.loads(body)]
        if step.stream and (not body.endswith(DONE) or _is_told_broken(said, model)):
            return _wrong_end(body.removesuffix(DONE), said)
        return self._wrong_answer(said, model)

    def _wrong_answer(self, said: list[dict[str, Any]], model: str) -> list[str]:
        """What is wrong with an answer that looks whole."""
        choices = [event["choices"][0] for event in said if event.get("choices")]
        reasons = {choice.get("finish_reason") for choice in choices} - {None}
        text = "".join((choice.get("delta") or choice["message"]).get("content") or "" for choice in choices)
        problems = [] if reasons and "error" not in reasons else [f"whole, with the finish reasons {reasons}"]
        problems += ["whole, with an error"] if any("error" in event for event in said) else []
        if self._texts.get(model) != text:
            problems.append(f"{model} is said to have said {text!r}")
        return problems


def _sent(story: CallReport | None) -> int:
    return sum(bool(attempt["sent"]) for attempt in story.attempts) if story else 0


def _slowly(app: RawApp) -> Reply:
    status, headers = app.reply_head()
    if "Content-Length" in headers:
        return Reply(status, headers, app.take(int(headers["Content-Length"])))
    body = b""
    try:
        for chunk in app.chunks():
            body += chunk
            pause(0.001)
    except (EOFError, OSError):
        return Reply(status, headers, body, whole=False)
    return Reply(status, headers, body)


def _stream_said(body: bytes) -> Iterator[dict[str, Any]]:
    for part in body.split(b"\n\n"):
        if part.startswith(b"data: ") and part != b"data: [DONE]":
            yield json.loads(part[6:])


def _is_told_broken(said: list[dict[str, Any]], model: str) -> bool:
    """OpenRouter's own error event, as recorded in 2025, has a [DONE] behind it: its bytes pass untouched."""
    return "error-mid-recorded" in model and bool(said) and "error" in said[-1]


def _wrong_end(body: bytes, said: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a stream that broke: it must end with an error, and never with [DONE]."""
    if b"data: [DONE]" in body:
        return ["[DONE] within a broken stream"]
    if not said or "error" not in said[-1]:
        return [f"broken without an error event: {body[-200:]!r}"]
    return [] if said[-1]["error"].get("message") else ["an error event without a message"]


def _wrong_error(body: dict[str, Any]) -> list[str]:
    error = body.get("error")
    if not isinstance(error, dict):
        return [f"no error object: {body}"]
    texts = ("message", "type", "code")
    wrong = [f"error.{name} is {error.get(name)!r}" for name in texts if not isinstance(error.get(name), str)]
    return wrong if "param" in error else [*wrong, "error.param is missing"]
