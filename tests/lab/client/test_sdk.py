"""The OpenAI SDK in front, with its own two retries: they must not multiply the gateway's."""

from __future__ import annotations

from collections import Counter

import openai
import pytest

from tests.gateway import API
from tests.lab.client.lab import Lab, comes_true

pytestmark = pytest.mark.clients

_SHORT = {"X-Orgate-First-Content-Timeout": "0.3", "X-Orgate-Idle-Timeout": "0.3", "X-Orgate-Timeout": "10"}

FAILURES = {
    "status-500": ("sandbox/status-500", "sandbox/status-502"),
    "status-503": ("sandbox/status-503", "sandbox/status-529"),
    "429-upstream": ("sandbox/429-upstream", "sandbox/429-retry-after-0"),
    "503-retry-after": ("sandbox/503-retry-after-1", "sandbox/503-retry-after-0"),
    "reset": ("sandbox/reset", "sandbox/reset-mid-0"),
    "silence": ("sandbox/silence", "sandbox/headers-then-silence"),
    "cut": ("sandbox/cut-3", "sandbox/cut-4"),
    "choice-error": ("sandbox/choice-error-3", "sandbox/choice-error-4"),
    "502-html": ("sandbox/502-html", "sandbox/520-html"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("length", [1, 2], ids=["one-model", "chain-of-two"])
@pytest.mark.parametrize("failure", FAILURES)
def test_posts_per_model(lab: Lab, failure: str, length: int, stream: bool) -> None:
    """One failing call of the SDK fails for its caller too, after at most three requests to each model."""
    models = FAILURES[failure][:length]
    clocks = {**_SHORT, "X-Orgate-Timeout": "0.5"} if failure == "silence" else _SHORT
    with openai.OpenAI(
        base_url=lab.gateway.base_url + API, api_key=lab.gateway.token(), default_headers=clocks
    ) as client:
        assert 2 == client.max_retries

        def ask() -> None:
            answer = client.chat.completions.create(
                model=models[0],
                messages=[{"role": "user", "content": "Hello"}],
                stream=stream,
                extra_body={"models": list(models[1:])},
            )
            list(answer)

        with pytest.raises(openai.APIError) as raised:
            ask()

    posts = Counter(row["model"] for row in lab.posts())
    assert raised.value.body
    assert set(posts) <= set(models)
    assert models[0] in posts
    assert max(posts.values()) <= 3

    def is_told() -> bool:
        """The story of this call, which may be written just after its app has heard the end, has as many."""
        story = lab.story()
        told = story and (story.model, story.fallbacks, story.stream) == (models[0], tuple(models[1:]), stream)
        return bool(told and len(lab.posts()) == sum(bool(attempt["sent"]) for attempt in story.attempts))

    assert comes_true(is_told)
