"""How processes of a gateway end, and what is left then."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import rows
from tests.cli.processes import orgate, started
from tests.waiting import eventually
from tests.workers.served import KEY, Crowd, ask, children, crowd, dripping

DRIP = "sandbox/drip-100"
"""Its answer takes a few seconds."""


def is_there(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def states(gateway: Crowd) -> dict[str, list[str]]:
    """The states of the attempts, by app."""
    found: dict[str, list[str]] = {}
    for row in rows(gateway.folder / "ledger.db"):
        found.setdefault(row["app"], []).append(row["state"])
    return found


def is_settled(found: dict[str, list[str]]) -> bool:
    """Whether all costs are known."""
    return {"settled"} == {state for each in found.values() for state in each}


def test_killed_carrier(gateway: Crowd, sandbox: Sandbox) -> None:
    """
    A carrier that is killed is replaced: its calls end, their holds stand until OpenRouter tells what they cost, their
    places are free, and the calls of the other process go on.
    """
    [carrier] = gateway.carriers()
    kept, lost = gateway.token("kept"), gateway.token("lost")
    on_keeper = dripping(gateway.line(gateway.keeper), kept, DRIP)
    on_carrier = dripping(gateway.line(carrier), lost, DRIP)
    # By then OpenRouter's id of the attempt is written down.
    eventually(lambda: all(row["generation_id"] for row in rows(gateway.folder / "ledger.db")))

    gateway.kill(carrier)
    cut = on_carrier.rest()
    [fresh] = eventually(lambda: [pid for pid in gateway.carriers() if pid != carrier])

    assert b"[DONE]" not in cut
    assert b"[DONE]" in on_keeper.rest()
    assert 200 == ask(gateway.line(fresh), lost)[0]
    settled = eventually(lambda: states(gateway), is_settled)
    assert {"kept": ["settled"], "lost": ["settled", "settled"]} == settled
    of_killed = [row for row in rows(gateway.folder / "ledger.db") if row["outcome"] == "worker_lost"]
    assert ["generation"] == [row["source"] for row in of_killed]
    text = gateway.request("GET", "/metrics", gateway.own_token()).text
    assert "orgate_requests_in_flight 0.0" in text
    assert 'orgate_warnings_total{event="worker.lost"} 1.0' in text


def test_killed_carrier_and_a_call_with_a_key(gateway: Crowd, sandbox: Sandbox) -> None:
    """A call with a key is made to its end although the process is killed that its app had reached; it is sent once."""
    token, headers, [carrier] = gateway.token(), {"Idempotency-Key": "one"}, gateway.carriers()
    line = gateway.line(carrier)
    fields: dict[str, Any] = {"model": "sandbox/delay-3000", "headers": headers}

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, line, token, **fields)
        sandbox.wait_until(lambda log: any(row["method"] == "POST" for row in log))
        gateway.kill(carrier)
        [fresh] = eventually(lambda: [pid for pid in gateway.carriers() if pid != carrier])
        under_way = states(gateway)
        status, told, _ = ask(gateway.line(fresh), token, **fields)

    assert isinstance(asked.exception(), (OSError, http.client.HTTPException))
    assert {"tester": ["reserved"]} == under_way
    assert (200, "true") == (status, told["idempotency-replayed"])
    assert 1 == len(gateway.posts())


def test_carriers_end_with_their_keeper(gateway: Crowd, sandbox: Sandbox) -> None:
    """When the first process is killed all end, and the gateway can be started again at the same port."""
    token = gateway.token()
    running = [dripping(gateway.line(pid), token) for pid in gateway.pids()]
    [carrier] = gateway.carriers()

    gateway.running.stop(signal.SIGKILL)
    cut = [each.rest() for each in running]
    eventually(lambda: not is_there(carrier))

    assert not any(b"[DONE]" in each for each in cut)
    again = ("serve", "--port", str(gateway.port), "--workers", "2", "--state-dir", str(gateway.folder))
    with started(*again, OPENROUTER_BASE_URL=sandbox.url):
        assert {"tester": ["ambiguous", "ambiguous"]} == states(gateway) or "settled" in str(states(gateway))


@pytest.mark.parametrize("how", ["term", "ctrl-c"])
def test_drain(sandbox: Sandbox, tmp_path: Path, how: str) -> None:
    """SIGTERM, and Ctrl-C in a terminal, let the running answers of every process finish; then all end, with 0."""
    with crowd(sandbox, tmp_path / "state", alone=True) as gateway:
        token, pids = gateway.token(), gateway.pids()
        running = [dripping(gateway.line(pid), token, DRIP) for pid in pids]
        passed = dripping(gateway.line(pids[1]), gateway.token("waiter", "--queue", "5"), DRIP)

        if how == "term":
            os.kill(gateway.keeper, signal.SIGTERM)
        else:
            os.killpg(gateway.keeper, signal.SIGINT)
        answers = [each.rest() for each in (*running, passed)]
        code = gateway.running.process.wait(20)

        assert all(answer.endswith(b"data: [DONE]\n\n") for answer in answers)
        assert 0 == code
        assert not any(map(is_there, pids))
        assert {"tester": ["settled"] * 2, "waiter": ["settled"]} == states(gateway)
        assert not (gateway.folder / "gateway.json").exists()


def test_carrier_that_is_asked_to_end(gateway: Crowd) -> None:
    """A carrier that gets a SIGTERM of its own finishes what it has, and another takes its place."""
    token = gateway.token()
    [carrier] = gateway.carriers()
    running = dripping(gateway.line(carrier), token, DRIP)

    os.kill(carrier, signal.SIGTERM)

    assert running.rest().endswith(b"data: [DONE]\n\n")
    [fresh] = eventually(lambda: [pid for pid in gateway.carriers() if pid != carrier])
    assert 200 == ask(gateway.line(fresh), token)[0]
    assert {"tester": ["settled"] * 2} == eventually(lambda: states(gateway), is_settled)


def test_app_that_leaves(gateway: Crowd, sandbox: Sandbox) -> None:
    """Whichever process has the connection, also of a call that is passed on: when the app leaves OpenRouter's ends."""
    [carrier] = gateway.carriers()
    tokens = [gateway.token(), gateway.token("waiter", "--queue", "5")]

    for token in tokens:
        dripping(gateway.line(carrier), token).close()

    assert sandbox.wait_until(lambda log: 2 == sum(bool(row["client_closed_at"]) for row in log))


def test_one_process(sandbox: Sandbox, tmp_path: Path) -> None:
    """By default there is one process, and nothing of what more would need."""
    folder = str(tmp_path / "state")
    orgate("key", "set", "--state-dir", folder, text=KEY)
    with started("serve", "--port", "0", "--state-dir", folder, OPENROUTER_BASE_URL=sandbox.url) as running:
        pid = running.process.pid
        others = children(pid)
        sockets = [one for one in Path(f"/proc/{pid}/fd").iterdir() if _is_socket(one)]

    assert [] == others
    assert len(sockets) < 10


def _is_socket(descriptor: Path) -> bool:
    try:
        return "socket" in str(descriptor.readlink())
    except FileNotFoundError:
        # It was closed since it was listed.
        return False


def test_more_processes(sandbox: Sandbox, tmp_path: Path) -> None:
    """ORGATE_WORKERS does what --workers does; three are two carriers."""
    with crowd(sandbox, tmp_path / "state", workers=3) as gateway:
        token = gateway.token()

        assert 3 == len(set(gateway.pids()))
        assert [200] * 3 == [ask(gateway.line(pid), token)[0] for pid in gateway.pids()]


def test_carrier_that_cannot_start(make_crowd: Callable[..., Crowd], tmp_path: Path, monkeypatch: Any) -> None:
    """While a carrier cannot be replaced the gateway goes on with the processes that it has."""
    gateway = make_crowd()
    token = gateway.token()
    # Without a key no gateway starts; this one has it at hand.
    (gateway.folder / "key").rename(gateway.folder / "key-kept")

    gateway.kill(gateway.carriers()[0])
    answers = [gateway.chat(token).status_code for _ in range(3)]
    (gateway.folder / "key-kept").rename(gateway.folder / "key")

    assert set(answers) <= {200, 503}
    eventually(gateway.carriers)
    assert 200 == eventually(lambda: ask(gateway.line(gateway.carriers()[0]), token)[0])
