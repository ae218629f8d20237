from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from app.cli.batches.journal import Journal
from app.cli.batches.purse import Purse
from app.cli.batches.sending import Sender
from app.cli.batches.work import Tally, Work
from app.cli.client import Gateway as Place
from app.core.batch import read
from app.sandbox import Sandbox
from tests.cli.batch.runs import billed, posts
from tests.gateway import Gateway
from tests.upstream import ScriptedUpstream

_MESSAGES = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
BODIES = {"/chat/completions": _MESSAGES, "/messages": _MESSAGES, "/responses": {"input": "Hello"}}


def _done(gateway: Gateway, folder: Path, model: str, read_s: float) -> Tally:
    items = read([b'"Hello"'], model)
    sender = Sender(Place(gateway.base_url, gateway.token()), read_s)
    work = Work(items, Journal(folder / "part", items), sender, Purse(None, 0), lambda _: None, [0])
    work.start(1)
    assert work.wait(30)
    return work.tally()


def test_long_call(gateway: Gateway, sandbox: Sandbox, tmp_path: Path) -> None:
    """A call that takes longer than a connection is kept is asked for again and joined, not made again."""
    tally = _done(gateway, tmp_path, "sandbox/delay-1500", read_s=0.3)

    assert (1, 0) == (tally.done, tally.failed)
    assert (1, 1) == (len(posts(sandbox)), len(billed(sandbox)))


@pytest.mark.parametrize(
    ("model", "uncertain"), [("sandbox/reset", 1), ("sandbox/404-no-endpoints", 0), ("sandbox/status-500", 0)]
)
def test_uncertain(gateway: Gateway, tmp_path: Path, model: str, uncertain: int) -> None:
    """A line is uncertain where its failure leaves open whether it was carried out, and failed where it does not."""
    tally = _done(gateway, tmp_path, model, read_s=30)

    assert (1, uncertain, 1 - uncertain) == (tally.done, tally.uncertain, tally.failed)


@pytest.mark.parametrize("url", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/v1/chat/completions"])
def test_time_up_in_the_queue(gateway: Gateway, sandbox: Sandbox, tmp_path: Path, url: str) -> None:
    """A call whose time was up while it waited for its quota was never sent: it is asked again, in every style."""
    token = gateway.token("slow", quotas={"chat": "1 per 3 seconds"}, wishes={"timeout": "2"})
    gateway.chat(token=token)
    items = read([json.dumps({"url": url, "body": BODIES[url.partition("v1")[2]]}).encode()], "sandbox/ok")
    work = Work(
        items,
        Journal(tmp_path / "part", items),
        Sender(Place(gateway.base_url, token)),
        Purse(None, 0),
        lambda _: None,
        [0],
    )

    work.start(1)

    assert work.wait(30)
    assert (1, 0, 0) == (work.tally().done, work.tally().failed, work.tally().uncertain)
    assert 2 == len(posts(sandbox))


def test_gateway_that_stays_away(tmp_path: Path) -> None:
    """When the gateway stays away the batch ends, and its lines count as not sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    items = read([b'"Hello"'], "sandbox/ok")
    journal = Journal(tmp_path / "part", items)
    work = Work(items, journal, Sender(Place(nowhere, "token")), Purse(None, 0), lambda _: None, [0], away_s=0.2)

    work.start(1)

    assert work.wait(30)
    assert work.stopped_for is not None
    assert (3, 0, False) == (work.stopped_for[1], work.tally().done, journal.lines[0].is_open)


@pytest.mark.parametrize(
    ("headers", "told"),
    [({}, "no orgate gateway"), ({"x-orgate-call-id": "call_1"}, "Update orgate")],
    ids=["foreign", "old"],
)
def test_other_servers(upstream: ScriptedUpstream, tmp_path: Path, headers: dict[str, str], told: str) -> None:
    """What is no gateway, or one that would pay twice, is left after its first answer."""
    upstream.give("/v1/chat/completions", 200, {"choices": []})
    upstream.headers.update(headers)
    items = read([b'"one"', b'"two"'], "sandbox/ok")
    place = Place(upstream.url, "token")
    work = Work(items, Journal(tmp_path / "part", items), Sender(place), Purse(None, 0), lambda _: None, [0, 1])

    work.start(1)

    assert work.wait(30)
    assert work.stopped_for is not None
    assert told in work.stopped_for[0]
    assert {"/v1/chat/completions": 1} == upstream.hits
