"""What is counted over all processes is counted exactly."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.core.money import NANO
from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import rows
from tests.lab.upstream import plays
from tests.lab.upstream.wire import Peer, RawUpstream
from tests.waiting import eventually
from tests.workers.served import Crowd, ask, crowd, dripping


def race(gateway: Crowd, token: str, calls: int, threads: int = 12, **fields: Any) -> Counter[int]:
    """How so many calls at once end, over connections that half of them have to each process."""
    counts: Counter[int] = Counter()
    lock, start = threading.Lock(), threading.Barrier(threads)
    pids = gateway.pids()
    lines = [gateway.line(pids[number % len(pids)]) for number in range(threads)]

    def run(line: http.client.HTTPConnection) -> None:
        start.wait()
        for _ in range(calls // threads):
            status, _, _ = ask(line, token, **fields)
            with lock:
                counts[status] += 1
        line.close()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, lines))
    return counts


def test_both_take_connections(gateway: Crowd) -> None:
    """Of connections that come at once the first process has about a third; of those that come singly each has some."""
    together = [gateway.new_line() for _ in range(32)]
    at_once = Counter(map(gateway.holder, together))
    for line in together:
        line.close()

    assert set(gateway.pids()) == set(at_once)
    assert 6 <= at_once[gateway.keeper] <= 16
    assert all(gateway.line(pid) for pid in gateway.pids())


def test_quota(make_crowd: Callable[..., Crowd]) -> None:
    """However many ask at once, and whichever process they meet, the quota is what it says."""
    gateway = make_crowd(ORGATE_RATE_CHAT="50 per 5 minutes")
    token = gateway.token()

    counts = race(gateway, token, calls=96)

    assert Counter({200: 50, 429: 46}) == counts
    assert 50 == len(gateway.posts())
    told = [ask(gateway.line(pid), token)[1]["x-ratelimit-remaining"] for pid in gateway.pids()]
    assert ["0", "0"] == told


def test_quota_is_told(gateway: Crowd) -> None:
    """Every answer tells what is left of the quota, whichever process gave it and the one before."""
    token = gateway.token()
    lines = [gateway.line(pid) for pid in gateway.pids()]

    answers = [ask(lines[number % 2], token, **({"messages": []} if number == 3 else {})) for number in range(6)]

    assert [200, 200, 200, 400, 200, 200] == [status for status, _, _ in answers]
    assert ["29", "28", "27", "27", "26", "25"] == [told["x-ratelimit-remaining"] for _, told, _ in answers]


def test_budget(gateway: Crowd, sandbox: Sandbox) -> None:
    """Calls that run in different processes never set aside, or spend, more than the budget."""
    limit = Decimal("0.0008")
    token = gateway.token("spender", "--budget", f"{limit}/day", "--rate-chat", "1000 per minute")

    counts = race(gateway, token, calls=96, threads=24, model="openai/gpt-4o-mini", max_tokens=100)

    eventually(lambda: not _open(gateway))
    spent = sum(row["cost"] for row in rows(gateway.folder / "ledger.db"))
    assert {200, 402} == set(counts)
    assert limit * NANO / 2 < spent <= limit * NANO
    assert Decimal(sandbox.bill()["total_cost"]) * NANO == spent
    assert counts[200] == len(gateway.posts())


def test_budget_while_calls_run(gateway: Crowd) -> None:
    """Of calls that are under way in both processes at once, no more are let through than their holds allow."""
    model, many = "sandbox/delay-1500", 12
    probe = gateway.token("probe")
    assert 200 == gateway.chat(probe, "sandbox/delay-1").status_code
    hold = rows(gateway.folder / "ledger.db")[0]["hold"]
    budget = Decimal(hold * 5 + hold // 2) / NANO
    token = gateway.token("spender", "--budget", f"{budget}/day")

    counts = race(gateway, token, calls=many, threads=many, model=model)

    assert Counter({200: 5, 402: many - 5}) == counts


def test_places(make_crowd: Callable[..., Crowd]) -> None:
    """ORGATE_MAX_STREAMS is the cap over all processes; a place that one gives back, another can take."""
    gateway = make_crowd(ORGATE_MAX_STREAMS="4")
    token, pids = gateway.token(), gateway.pids()
    running = [dripping(gateway.line(pids[number % 2]), token) for number in range(4)]

    over = [ask(gateway.line(pid), token)[0] for pid in pids]
    in_flight = _metric(gateway, token, "orgate_requests_in_flight")
    running[0].close()
    lines = [gateway.line(pid) for pid in pids]
    freed = [eventually(lambda line=line: ask(line, token)[0], lambda found: found == 200) for line in lines]  # type: ignore[misc]
    for each in running:
        each.close()

    assert [503, 503] == over
    assert 4 == in_flight
    assert [200, 200] == freed
    eventually(lambda: _metric(gateway, token, "orgate_requests_in_flight"), lambda found: found == 0)


def test_repeated_call(gateway: Crowd, sandbox: Sandbox) -> None:
    """A call that is repeated under its key, over new connections to whichever process, is sent once."""
    token = gateway.token()
    headers = {"Idempotency-Key": "one"}
    lines = [gateway.line(pid) for pid in gateway.pids() * 5]

    with ThreadPoolExecutor(len(lines)) as pool:
        at_once = list(pool.map(lambda line: ask(line, token, model="sandbox/delay-300", headers=dict(headers)), lines))
    later = [gateway.chat(token, "sandbox/delay-300", headers=dict(headers)) for _ in range(6)]

    assert 1 == len(gateway.posts())
    assert {at_once[0][2]} == {answer for _, _, answer in at_once} | {answer.content for answer in later}
    assert {200} == {status for status, _, _ in at_once}
    assert 9 == sum("idempotency-replayed" in told for _, told, _ in at_once)
    assert all("Idempotency-Replayed" in answer.headers for answer in later)


def test_cache_of_answers(gateway: Crowd) -> None:
    """What one process answered another gives again, where the call or its token asks for the cache."""
    pids, plain = gateway.pids(), gateway.token()
    caching = gateway.token("caching", "--cache", "3600")
    asked: Sequence[tuple[str, dict[str, str]]] = [(plain, {"X-Orgate-Cache": "3600"}), (caching, {})]

    found = [
        [ask(gateway.line(pid), token, headers=dict(headers))[1]["x-orgate-cache"] for pid in pids]
        for token, headers in asked
    ]

    assert [["miss", "hit"], ["miss", "hit"]] == found
    assert 2 == len(gateway.posts())


def test_queue(make_crowd: Callable[..., Crowd]) -> None:
    """Calls that would rather wait for the quota do so in one line, and all of them are answered."""
    gateway = make_crowd(ORGATE_RATE_CHAT="2 per second")
    token = gateway.token()
    lines = [gateway.line(pid) for pid in gateway.pids() * 3]

    with ThreadPoolExecutor(len(lines)) as pool:
        counts = Counter(pool.map(lambda line: ask(line, token, headers={"X-Orgate-Queue": "20"})[0], lines))

    assert Counter({200: 6}) == counts
    assert 6 == len(gateway.posts())


def _open(gateway: Crowd) -> list[dict[str, Any]]:
    return [row for row in rows(gateway.folder / "ledger.db") if row["state"] in ("reserved", "ambiguous")]


def _metric(gateway: Crowd, token: str, name: str) -> float:
    text = gateway.request("GET", "/metrics", gateway.own_token()).text
    found = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].split()[1])


def slow(peer: Peer) -> None:
    """A stream that goes on when its first content has been read."""
    peer.send(plays.chunked(plays.EVENTS) + plays.chunk(plays.said()))
    peer.pause(0.2)
    peer.send(b"".join(map(plays.chunk, (plays.ended(usage=plays.USAGE), plays.DONE, b""))))


def test_cost_without_an_answer(tmp_path: Path) -> None:
    """An attempt that was billed and said nothing is settled, whichever process asked, though another answered."""
    with RawUpstream() as upstream, crowd(upstream, tmp_path / "state") as gateway:  # type: ignore[arg-type]
        upstream.script("lab/empty", plays.streaming(plays.ended(usage=plays.USAGE), plays.DONE))
        upstream.script("lab/slow", slow)
        token = gateway.token()

        for pid in gateway.pids():
            status, _, _ = ask(gateway.line(pid), token, model="lab/empty", models=["lab/slow"], stream=True)
            assert 200 == status

        ledger = gateway.folder / "ledger.db"
        ends = eventually(lambda: [row["state"] for row in rows(ledger)], lambda ends: "reserved" not in ends)
    assert 4 * ["settled"] == ends
