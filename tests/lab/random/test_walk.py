from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from app.sandbox.server import Sandbox
from tests.gateway import KEY, running_gateway
from tests.lab.client.lab import Lab
from tests.lab.client.raw_app import body_of
from tests.lab.random.deck import BAD, GOOD, drawn
from tests.lab.random.walker import Walker

_LONG = bool(os.environ.get("ORGATE_LONG"))
_STEPS = 10_000 if _LONG else 300
_THREADS = 8
_ENOUGH = 20


def _texts(sandbox: Sandbox) -> dict[str, str]:
    """What each model says when it says all of it, asked without the gateway."""
    texts = {}
    with requests.Session() as session:
        session.trust_env = False
        for model in (f"sandbox/{name}" for name in (*GOOD, *BAD, "no-done-open")):
            # Two that a simple client cannot read speak like the good model, each under its own name.
            source = "sandbox/ok" if model.endswith(("early-hints", "no-done-open")) else model
            try:
                reply = session.post(
                    f"{sandbox.url}/chat/completions",
                    body_of(source),
                    headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
                    allow_redirects=False,
                    timeout=5,
                )
                answer = json.loads(reply.content)
            except (requests.RequestException, ValueError):
                continue
            if answer.get("choices") and "error" not in answer and "error" not in answer["choices"][0]:
                texts[model] = answer["choices"][0]["message"]["content"].replace(_named(source), _named(model))
    return texts


def _named(model: str) -> str:
    return "Sandbox: " + model.removeprefix("sandbox/")


@pytest.mark.long
def test_random_walk(tmp_path: Path) -> None:
    """
    Whatever fails, wherever, for whichever app: what was sent is what was recorded, nothing hangs past its deadline,
    every failure is told as one, and no cut answer looks whole.
    """
    # The short walk is the same each time, so that a change that breaks it is the one that is at hand.
    drawn_seed = random.SystemRandom().randrange(1, 10**9) if _LONG else 20_261_122
    seed = int(os.environ.get("ORGATE_SEED", "0")) or drawn_seed
    problems: list[str] = []
    settings = {"openrouter_background_refresh": "false", "orgate_rate_chat": "1000000 per minute"}
    with Sandbox(interval_s=0.001) as sandbox, running_gateway(sandbox, tmp_path / "walk", **settings) as gateway:
        sandbox.account(total_credits="1000000")
        texts = _texts(sandbox)
        lab = Lab(gateway, sandbox)
        numbers, lock = itertools.count(), threading.Lock()

        def walk(walker: Walker) -> None:
            while len(problems) < _ENOUGH:
                with lock:
                    number = next(numbers)
                if number >= _STEPS:
                    return
                step = drawn(seed, number)
                try:
                    found = walker.walk(step, number)
                except Exception as error:
                    found = [f"{type(error).__name__}: {error}"]
                problems.extend(f"step {number}: {problem}; {step}" for problem in found)

        walkers = [Walker(lab, f"walker-{number}", texts) for number in range(_THREADS)]
        began = time.monotonic()
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(walk, walkers))
        took_s = time.monotonic() - began
        lab.check_nothing_left()

        recorded = {session: count for walker in walkers for session, count in walker.sent.items()}
        seen = Counter(row["headers"].get("x-session-id") for row in lab.posts() if row["model"])
        late = {session: count for session, count in seen.items() if session and count > recorded.get(session, 0)}
        assert 200 == gateway.chat("sandbox/ok").status_code
    outcomes = sum((walker.outcomes for walker in walkers), Counter[str]())
    print(f"walk: seed {seed}, {took_s:.1f} s, {outcomes.most_common()}")  # noqa: T201

    assert [] == problems, f"ORGATE_SEED={seed}:\n" + "\n".join(problems)
    assert {} == late
    assert {"answered", "left", "error_in_stream", "upstream_truncated"} <= set(outcomes)
