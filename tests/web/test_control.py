from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from app.core.errors import BadRequest
from app.core.grants import CONTROL, SCOPES
from app.core.sse import SseDecoder
from app.factory import MOUNTS
from app.sandbox import Sandbox
from app.services import kept
from tests.gateway import API, Gateway, running_gateway
from tests.lab.client.lab import comes_true

ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/pause", {"app": None}),
    ("POST", "/resume", {"app": None}),
    ("POST", "/end", {"app": None}),
    ("POST", "/reconcile", {}),
    ("GET", "/ledger", {}),
    ("POST", "/ledger/trim", {"before": "2026-01-01"}),
    ("POST", "/ledger/accept", {}),
]
DAY_MS = 86_400_000


def owner(gateway: Gateway, path: str, body: dict[str, Any] | None = None) -> requests.Response:
    """A POST of the owner's own tools, or a GET without a body."""
    token = gateway.token("orgate", own=True)
    if body is None:
        return gateway.get(path, token=token)
    return gateway.request("POST", API + path, token=token, json=body)


def dripping(gateway: Gateway, token: str, **body: Any) -> requests.Response:
    """A long answer that has begun."""
    running = gateway.chat("sandbox/drip-500", stream=True, token=token, **body)
    running.raw.read1(64)
    return running


def ends(running: requests.Response) -> tuple[str | None, bool, float]:
    """The code that a running answer ends with, whether it says [DONE], and how many seconds that took."""
    began, decoder, events = time.monotonic(), SseDecoder(), []
    while chunk := running.raw.read1(65536):
        events += decoder.feed(chunk)
    errors = [json.loads(event)["error"] for event in events if b'"error":' in event]
    code = errors[-1]["metadata"]["error_type"] if errors else None
    return code, b"[DONE]" in events, time.monotonic() - began


def sent(sandbox: Sandbox) -> int:
    """How many calls reached OpenRouter."""
    return sum(entry["method"] == "POST" for entry in sandbox.log())


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=[path for _, path, _ in ROUTES])
def test_owner_only(gateway: Gateway, method: str, path: str, body: dict[str, Any], mount: str) -> None:
    """Nobody but the owner's own tools may do any of it, and whoever tries changes nothing."""
    ordinary = gateway.token("editor")
    gateway.services.pauses.pause("other")
    running = dripping(gateway, ordinary)

    replies = [gateway.request(method, mount + path, token=token, json=body) for token in (ordinary, None)]

    assert [403, 401] == [reply.status_code for reply in replies]
    assert "orgate's own" in replies[0].json()["error"]["message"]
    assert {"other"} == gateway.services.pauses.paused()
    assert 1 == len(gateway.services.relay._running)
    running.close()


def test_no_other_token_has_control(gateway: Gateway) -> None:
    """The scope cannot be given to a program; the owner's token has it without being asked for."""
    _, own = gateway.services.office.issue("orgate", own=True)
    _, demo = gateway.services.office.issue("demo", own=True)

    assert ({*SCOPES, CONTROL}, {*SCOPES}) == (own.scopes, demo.scopes)
    with pytest.raises(BadRequest):
        gateway.services.office.issue("editor", scopes=[CONTROL])


def test_paused_in_the_middle(gateway: Gateway) -> None:
    """Pausing an app ends its running answers within a second, with an error and without [DONE]; others go on."""
    paused, other = dripping(gateway, gateway.token("editor")), dripping(gateway, gateway.token("notes"))

    told = owner(gateway, "/pause", {"app": "editor"}).json()
    code, done, seconds = ends(paused)

    assert {"paused": ["editor"], "ended": 1} == told
    assert ("paused", False) == (code, done)
    assert seconds < 1
    assert 1 == len(gateway.services.relay._running)
    other.close()


def test_paused_before_the_answer(gateway: Gateway, sandbox: Sandbox) -> None:
    """A plain call that waits for its answer is ended as well, and no other model of its chain is asked."""
    token = gateway.token("editor")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(gateway.chat, "sandbox/delay-20000", models=["sandbox/ok"], token=token)
        sandbox.wait_until(lambda log: any(entry["method"] == "POST" for entry in log))
        owner(gateway, "/pause", {"app": "editor"})
        reply = waiting.result(5)

    assert (503, "paused", "false") == (
        reply.status_code,
        reply.json()["error"]["code"],
        reply.headers["x-should-retry"],
    )
    assert 1 == sent(sandbox)


def test_paused(gateway: Gateway, sandbox: Sandbox) -> None:
    """A paused app's calls are refused before anything is sent, what it may look at it still may; others may call."""
    token = gateway.token("editor")
    owner(gateway, "/pause", {"app": "editor"})

    refused = gateway.chat(token=token)
    streamed = gateway.chat(stream=True, token=token)

    assert [(503, "paused")] * 2 == [
        (reply.status_code, reply.json()["error"]["code"]) for reply in (refused, streamed)
    ]
    assert "false" == refused.headers["x-should-retry"]
    assert "Retry-After" not in refused.headers
    assert 0 == sent(sandbox)
    assert [200] * 4 == [
        gateway.get(f"/{name}", token=token).status_code for name in ("models", "credits", "usage", "health")
    ]
    assert 200 == gateway.chat(token=gateway.token("notes")).status_code


@pytest.mark.parametrize("everybody", [None, "*"])
def test_everybody(gateway: Gateway, everybody: str | None) -> None:
    """Pausing everybody ends and refuses the calls of all, also of those who come later, and is lifted at once."""
    running = [dripping(gateway, gateway.token(app)) for app in ("editor", "notes")]

    told = owner(gateway, "/pause", {"app": everybody}).json()
    codes = {ends(each)[0] for each in running}
    refused = gateway.chat(token=gateway.token("newcomer"))
    alone = owner(gateway, "/resume", {"app": "editor"}).json()
    lifted = owner(gateway, "/resume", {"app": everybody}).json()

    assert ({"paused": ["*"], "ended": 2}, {"paused"}, 503) == (told, codes, refused.status_code)
    assert ({"paused": ["*"]}, {"paused": []}) == (alone, lifted)
    assert 200 == gateway.chat(token=gateway.token("newcomer")).status_code


def test_resumed(gateway: Gateway) -> None:
    """A resumed app calls with its old token; the pauses of others stay."""
    token = gateway.token("editor")
    gateway.token("notes")
    for app in ("editor", "notes"):
        owner(gateway, "/pause", {"app": app})

    told = owner(gateway, "/resume", {"app": "editor"}).json()

    assert {"paused": ["notes"]} == told
    assert 200 == gateway.chat(token=token).status_code


def test_pause_outlives_the_gateway(sandbox: Sandbox, tmp_path: Path) -> None:
    """A pause holds over a restart, and one made without a gateway from its next start on."""
    folder = tmp_path / "state"
    with running_gateway(sandbox, folder) as first:
        token = first.token("editor")
        owner(first, "/pause", {"app": "editor"})
    with running_gateway(sandbox, folder) as second:
        statuses = [second.chat(token=token).status_code]
        owner(second, "/resume", {"app": "editor"})
        statuses.append(second.chat(token=token).status_code)

    assert [503, 200] == statuses


def test_pause_with_a_broken_record(gateway: Gateway) -> None:
    """Where the record of pauses cannot be read nobody may call; everybody can still be paused, and resumed."""
    token = gateway.token("editor")
    (gateway.folder / "paused.json").write_text("{")
    broken = gateway.chat(token=token).json()["error"]["code"]
    one = owner(gateway, "/pause", {"app": "editor"}).status_code
    told = owner(gateway, "/pause", {"app": None}).json()
    owner(gateway, "/resume", {"app": None})

    assert ("pauses_broken", 503, ["*"]) == (broken, one, told["paused"])
    assert 200 == gateway.chat(token=token).status_code


@pytest.mark.parametrize("app", ["editor", None])
def test_pause_without_a_record(gateway: Gateway, app: str | None) -> None:
    """Where a pause cannot be written down, as on a full disk, it holds all the same, and that is said."""
    token = gateway.token("editor")
    running = dripping(gateway, token)
    (gateway.folder / "paused.lock").mkdir()

    refused = owner(gateway, "/pause", {"app": app})
    code, done, _ = ends(running)
    then = gateway.chat("sandbox/ok", token=token)
    told = owner(gateway, "/resume", {"app": app}).json()

    assert (503, "pauses_unwritable") == (refused.status_code, refused.json()["error"]["code"])
    assert "until the gateway ends" in refused.json()["error"]["message"]
    assert ("paused", False, 503) == (code, done, then.status_code)
    assert ({"paused": []}, 200) == (told, gateway.chat("sandbox/ok", token=token).status_code)


@pytest.mark.parametrize("path", ["/pause", "/resume", "/end"])
@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"App": "editor"}, 400), ({"app": 7}, 400), ({"app": ""}, 400), ({"app": "edtor"}, 404)],
    ids=str,
)
def test_slips_of_the_pen(gateway: Gateway, path: str, body: dict[str, Any], status: int) -> None:
    """A name that nobody has, or none at all, is refused instead of stopping nobody or everybody."""
    gateway.token("editor")

    assert status == owner(gateway, path, body).status_code
    assert frozenset() == gateway.services.pauses.paused()


def test_end(gateway: Gateway) -> None:
    """Running calls can be ended without a pause: the app is told, and may call again at once."""
    token = gateway.token("editor")
    running, other = dripping(gateway, token), dripping(gateway, gateway.token("notes"))

    told = owner(gateway, "/end", {"app": "editor"}).json()
    code, done, seconds = ends(running)
    again = gateway.chat(token=token).status_code
    everybody = owner(gateway, "/end", {"app": None}).json()

    assert ({"ended": 1}, "ended", False, 200) == (told, code, done, again)
    assert seconds < 1
    assert ({"ended": 1}, "ended") == (everybody, ends(other)[0])


def test_ended_calls_are_settled(gateway: Gateway, sandbox: Sandbox) -> None:
    """What an ended answer has cost is found out like that of any other that broke off."""
    sandbox.account(generation_delay_ms=0)
    running = dripping(gateway, gateway.token("editor"))
    owner(gateway, "/end", {"app": None})
    ends(running)

    assert comes_true(lambda: not gateway.services.ledger.open())
    assert sandbox.bill()["total_cost"] == gateway.get("/usage").json()["total_cost"]


def test_reconcile(gateway: Gateway, sandbox: Sandbox) -> None:
    """What OpenRouter knows of attempts whose cost was not told is settled, and what must be waited for is said."""
    sandbox.account(generation_delay_ms=60_000)
    gateway.chat("sandbox/no-usage")
    before = owner(gateway, "/reconcile", {}).json()
    sandbox.account(generation_delay_ms=0)

    told = owner(gateway, "/reconcile", {}).json()

    assert (0, 1, None) == tuple(before[name] for name in ("settled", "open", "outside"))
    assert (1, 0, 0, None) == tuple(told[name] for name in ("settled", "open", "written_off", "outside"))
    assert 0 < told["waits_s"] <= 60
    assert sandbox.bill()["total_cost"] == gateway.get("/usage").json()["total_cost"] != "0"


def test_spent_outside(gateway: Gateway, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What OpenRouter's totals rose by that no call explains was spent outside."""
    monkeypatch.setattr(kept, "_FORCE_PAUSE_S", 0.0)
    first = owner(gateway, "/reconcile", {}).json()
    sandbox.account(total_usage="8.42")

    second = owner(gateway, "/reconcile", {}).json()

    assert ("0", "1", None) == (first["outside"], second["outside"], second["waits_s"])
    assert "1" == gateway.get("/usage").json()["outside"]


def test_reconcile_without_openrouter(make_gateway: Callable[..., Gateway]) -> None:
    """When OpenRouter cannot be asked the answer says so, and nothing changes."""
    gateway = make_gateway(openrouter_base_url="http://127.0.0.1:9/api/v1", openrouter_background_refresh="false")

    reply = owner(gateway, "/reconcile", {})

    assert reply.status_code in (502, 503, 504)
    assert reply.json()["error"]["message"]


def test_ledger(gateway: Gateway) -> None:
    """The ledger's health is told."""
    gateway.chat()
    gateway.services.ledger.flush()

    told = owner(gateway, "/ledger").json()

    assert (str(gateway.folder / "ledger.db"), 1) == (told["path"], told["attempts"])
    assert told["size_bytes"] > 0
    assert told["oldest_at"].endswith("Z")
    assert (None, None, None) == (told["last_backup"], told["trouble"], told["locked"])


def test_trim(gateway: Gateway, sandbox: Sandbox) -> None:
    """Attempts from before a moment are removed, open ones and the sums stay."""
    sandbox.account(generation_delay_ms=60_000)
    for model in ("sandbox/ok", "sandbox/no-usage", "sandbox/ok"):
        gateway.chat(model)
    gateway.services.ledger.flush()
    with sqlite3.connect(gateway.folder / "ledger.db") as connection:
        connection.execute("UPDATE attempts SET at = at - ? WHERE rowid < 3", (10 * DAY_MS,))
    connection.close()
    before = gateway.get("/usage").json()

    told = owner(gateway, "/ledger/trim", {"before": "5d"}).json()

    assert 1 == told["removed"]
    assert 2 == gateway.services.ledger.state().attempts
    after = gateway.get("/usage").json()
    assert all(before[name] == after[name] for name in ("total_cost", "held", "data"))


@pytest.mark.parametrize("before", ["1h", "today", "2999-01-01", "never", "", None, 5], ids=str)
def test_bad_trim(gateway: Gateway, before: Any) -> None:
    """The last day's attempts cannot be removed, nor what lies before no moment at all."""
    reply = owner(gateway, "/ledger/trim", {"before": before})

    assert (400, "before") == (reply.status_code, reply.json()["error"]["param"])


def test_accept(gateway: Gateway) -> None:
    """A ledger that was restored is accepted once; the answer says what was."""
    gateway.services.ledger.keep_fact("locked", "the ledger was damaged")
    gateway.services.ledger.flush()
    locked = owner(gateway, "/ledger").json()["locked"]

    answers = [owner(gateway, "/ledger/accept", {}).json()["accepted"] for _ in range(2)]

    assert ("the ledger was damaged", [locked, None]) == (locked, answers)
