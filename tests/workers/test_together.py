"""What one process knows or is told, all do."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.core.sse import SseDecoder
from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import rows
from tests.cli.processes import orgate
from tests.waiting import eventually
from tests.workers.served import KEY, Crowd, Dripping, ask, dripping

API = "/v1"


def metrics(gateway: Crowd) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = gateway.request("GET", "/metrics", gateway.own_token()).text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[:1] != "#"}


def owner(gateway: Crowd, path: str, **fields: Any) -> requests.Response:
    """What the owner's own tools ask for."""
    return gateway.request("POST", f"{API}{path}", gateway.own_token(), json=fields)


def ending(running: Dripping) -> tuple[str | None, bool]:
    """The code that a running answer ends with, and whether it says [DONE]."""
    events = SseDecoder().feed(running.rest())
    errors = [json.loads(event)["error"] for event in events if b'"error":' in event]
    return (errors[-1]["metadata"]["error_type"] if errors else None), b"[DONE]" in events


def notices(reply: Any) -> Iterator[dict[str, Any]]:
    """What is told at /events, one by one."""
    while line := reply.readline():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def test_pause(gateway: Crowd) -> None:
    """A pause ends what runs in every process, and none takes another call until it is lifted."""
    token = gateway.token()
    running = [dripping(gateway.line(pid), token) for pid in gateway.pids()]

    paused = owner(gateway, "/pause", app=None).json()
    endings = [ending(each) for each in running]
    refused = [json.loads(ask(gateway.line(pid), token)[2])["error"]["code"] for pid in gateway.pids()]
    owner(gateway, "/resume", app=None)
    lifted = [ask(gateway.line(pid), token)[0] for pid in gateway.pids()]

    assert {"paused": ["*"], "ended": 2} == paused
    assert [("paused", False)] * 2 == endings
    assert ["paused"] * 2 == refused
    assert [200, 200] == lifted


def test_pause_that_cannot_be_kept(gateway: Crowd) -> None:
    """With a full disk a pause holds in every process all the same, until it is lifted."""
    token = gateway.token()
    assert [200, 200] == [ask(gateway.line(pid), token)[0] for pid in gateway.pids()]
    before = resource.prlimit(gateway.keeper, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    told = owner(gateway, "/pause", app="tester")
    refused = [json.loads(ask(gateway.line(pid), token)[2])["error"]["code"] for pid in gateway.pids()]
    resource.prlimit(gateway.keeper, resource.RLIMIT_FSIZE, before)
    owner(gateway, "/resume", app="tester")

    assert "pauses_unwritable" == told.json()["error"]["code"]
    assert ["paused"] * 2 == refused
    assert [200, 200] == [ask(gateway.line(pid), token)[0] for pid in gateway.pids()]


def test_end(gateway: Crowd) -> None:
    """Running calls of one app are ended in every process, those of others go on."""
    mine, other = gateway.token("mine"), gateway.token("other")
    ended = [dripping(gateway.line(pid), mine) for pid in gateway.pids()]
    kept = [dripping(gateway.line(pid), other) for pid in gateway.pids()]

    told = owner(gateway, "/end", app="mine").json()

    assert 2 == told["ended"]
    assert [("ended", False)] * 2 == [ending(each) for each in ended]
    assert all(each.answer.read1(10) for each in kept)
    for each in kept:
        each.close()


def test_revoked_token(gateway: Crowd) -> None:
    """A token that was revoked counts nowhere any more, also on connections that are open."""
    token = gateway.token("leaver")
    lines = [gateway.line(pid) for pid in gateway.pids()]
    before = [ask(line, token)[0] for line in lines]

    orgate("token", "revoke", "leaver", "--state-dir", str(gateway.folder))

    assert [200, 200] == before
    assert [401, 401] == [ask(line, token)[0] for line in lines]


def test_story(gateway: Crowd) -> None:
    """Every process finds the call that another one answered, as soon as its answer is there."""
    token = gateway.token()
    answers = [ask(gateway.line(pid), token) for pid in gateway.pids() * 3]
    ids = [told["x-orgate-call-id"] for _, told, _ in answers]

    told = [gateway.request("GET", f"{API}/calls/{id}", token) for id in ids for _ in range(2)]

    assert {200} == {one.status_code for one in told}
    assert [id for id in ids for _ in range(2)] == [one.json()["call_id"] for one in told]


def test_short_requests(gateway: Crowd) -> None:
    """Whichever process is asked, health, credits, models and usage are those of the whole gateway."""
    token = gateway.token()
    for pid in gateway.pids():
        assert 200 == ask(gateway.line(pid), token)[0]

    def seen(path: str) -> list[Any]:
        found = []
        for pid in gateway.pids():
            line = gateway.line(pid)
            line.request("GET", f"{API}{path}", headers={"Authorization": f"Bearer {token}"})
            answer = line.getresponse()
            found.append((answer.status, json.loads(answer.read())))
        return found

    mine, others = seen("/usage?by=app")
    assert (2, "0") == (mine[1]["data"][0]["calls"], mine[1]["held"])
    assert mine[1]["data"] == others[1]["data"]
    assert [200, 200] == [status for status, _ in seen("/models")]
    assert len({json.dumps(told["data"]) for _, told in seen("/models")}) == 1
    remaining = {told["remaining_credits"] for _, told in seen("/credits")}
    assert len(remaining) == 1
    assert None not in remaining
    assert ["healthy"] * 2 == [told["status"] for _, told in seen("/health")]


def test_refusals(gateway: Crowd) -> None:
    """What is refused is refused in the same words by every process."""
    token = gateway.token()

    def told(pid: int, method: str, path: str, body: str, **headers: str) -> tuple[int, Any]:
        line = gateway.line(pid)
        line.request(method, path, body, {"Authorization": f"Bearer {token}", **headers})
        answer = line.getresponse()
        content = answer.read()
        return answer.status, re.sub(rb"call_\w+", b"", content)

    asked: list[tuple[str, str, str, dict[str, str]]] = [
        ("POST", "/v1/chat/completions", "{", {"Content-Type": "application/json"}),
        ("POST", "/v1/chat/completions", "{}", {"Content-Type": "text/plain"}),
        ("POST", "/v1/chat/completions", "{}", {"Content-Type": "application/json", "Host": "evil.example"}),
        ("POST", "/v1/chat/completions", "{}", {"Content-Type": "application/json", "Authorization": "Bearer no"}),
        ("GET", "/v1/chat/completions", "", {}),
        ("GET", "/v1/v1/models", "", {}),
        ("POST", "/v1/pause", "{}", {"Content-Type": "application/json"}),
    ]
    found = [[told(pid, method, path, body, **more) for pid in gateway.pids()] for method, path, body, more in asked]

    assert [400, 415, 421, 401, 405, 404, 403] == [one[0][0] for one in found]
    assert all(mine == others for mine, others in found)


def test_metrics_and_events(gateway: Crowd) -> None:
    """Metrics are sums over all processes; a carrier's end takes nothing from them."""
    token = gateway.token()
    for pid in gateway.pids() * 2:
        ask(gateway.line(pid), token)
    [carrier] = gateway.carriers()
    before = metrics(gateway)
    memory = sum(_resident(pid) for pid in gateway.pids())

    gateway.kill(carrier)
    eventually(lambda: gateway.carriers() not in ([], [carrier]))
    after = metrics(gateway)

    assert 4 == sum(value for name, value in before.items() if name.startswith("orgate_requests_total{"))
    counters = [name for name in before if "_total" in name or "_count" in name or "_bucket" in name]
    assert {} == {name: (before[name], after[name]) for name in counters if after[name] < before[name]}
    assert before["process_resident_memory_bytes"] == pytest.approx(memory, rel=0.05)


def test_background(gateway: Crowd, sandbox: Sandbox) -> None:
    """OpenRouter's catalogues are fetched once for all processes, which know prices and short names by them."""
    token = gateway.token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    embeddings = json.dumps({"model": "openai/text-embedding-3-small", "input": "Hello"})
    answers = []
    for pid in gateway.pids():
        assert 200 == ask(gateway.line(pid), token, model="claude-haiku-4-5")[0]
        line = gateway.line(pid)
        line.request("POST", f"{API}/embeddings", embeddings, headers)
        answers.append((line.getresponse().status, line.close()))

    fetched = [row["path"] for row in sandbox.log() if row["method"] == "GET" and "models" in row["path"]]
    assert [(200, None)] * 2 == answers
    assert sorted(set(fetched)) == sorted(fetched)
    assert [1] * 4 == [row["priced"] for row in rows(gateway.folder / "ledger.db")]
    shown = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in gateway.pids()}
    assert not any(KEY.encode() in each for each in shown.values())


def test_alert_comes_once(gateway: Crowd) -> None:
    """A budget that is used up in every process is told of once; who listens through a carrier hears of it."""
    token = gateway.token("spender", "--budget", "0.000001/day")
    line = gateway.line(gateway.carriers()[0])
    line.request("GET", f"{API}/events", headers={"Authorization": f"Bearer {gateway.own_token()}"})
    reply = line.getresponse()
    told = notices(reply)
    first = next(told)

    statuses = [ask(gateway.line(pid), token)[0] for pid in gateway.pids() * 2]
    owner(gateway, "/pause", app="spender")
    seen = []
    while (notice := next(told))["kind"] != "paused":
        seen.append(notice["event"])
    reply.close()
    line.close()

    assert {"credits", "breakers", "paused"} <= first.keys()
    assert [402] * 4 == statuses
    assert 1 == sum(event.startswith("budget.") for event in seen)


def test_breakers(gateway: Crowd) -> None:
    """A model that rests in one process is told of by all."""
    token = gateway.token()
    line = gateway.line(gateway.carriers()[0])

    for _ in range(3):
        ask(line, token, model="sandbox/502-html")
    told = gateway.request("GET", f"{API}/health", token).json()["breakers"]

    assert ["sandbox/502-html"] == list(told["models"])


def _resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
