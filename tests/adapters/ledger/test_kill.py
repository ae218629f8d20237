from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from app.adapters.ledger import SqlLedger
from app.bootstrap.state import token_office
from app.core.ledger import State
from app.core.money import NANO
from app.sandbox.server import Sandbox
from app.settings import load
from tests.adapters.ledger.ledgers import opened, rows
from tests.cli.processes import Running, started
from tests.gateway import KEY
from tests.lab.client.lab import comes_true

_LONG = bool(os.environ.get("ORGATE_LONG"))
_KILLS = 1_000 if _LONG else 200
_LEDGERS = _KILLS // 10
_MOST_LINES = 300
_SERVE_KILLS = 200 if _LONG else 20
_RESTART_S = 2.0

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform == "win32", reason="fork and SIGKILL")]


# The ledger alone


@dataclass
class Acknowledged:
    """What a killed process had said was done."""

    reserved: set[str] = field(default_factory=set)
    settled: dict[str, int] = field(default_factory=dict)


class Victims:
    """Processes that work a ledger and are killed while they do."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.adapters.ledger.killed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )

    def run(self, trial: int, path: Path, lines: int) -> Acknowledged:
        """Kill one after so many lines: whatever it is doing just then."""
        said, orders = self._process.stdout, self._process.stdin
        assert said is not None
        assert orders is not None
        orders.write(f"{trial} {path}\n")
        orders.flush()
        pid = int(self._next(said)[1])
        done = Acknowledged()
        for _ in range(lines):
            self._note(self._next(said), done)
        os.kill(pid, signal.SIGKILL)
        # What it had said before it died is still in the pipe.
        while (words := self._next(said)) != ["ended"]:
            self._note(words, done)
        return done

    def stop(self) -> None:
        self._process.communicate()

    def _next(self, said: IO[str]) -> list[str]:
        line = said.readline()
        assert line.endswith("\n"), line
        return line.split()

    def _note(self, words: list[str], done: Acknowledged) -> None:
        assert words[0] in ("reserved", "settled"), words
        if words[0] == "reserved":
            done.reserved.add(words[1])
        else:
            done.settled[words[1]] = int(words[2])


@pytest.fixture
def victims() -> Iterator[Victims]:
    victims = Victims()
    yield victims
    victims.stop()


@pytest.fixture
def fast_folder() -> Iterator[Path]:
    """A folder in memory, if there is one: what is looked for is no fault of the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="orgate-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def on_record(path: Path, trial: int) -> dict[str, sqlite3.Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM attempts WHERE id GLOB ?", (f"{trial}.*",))
        return {row["id"]: row for row in found}


def has_exact_sums(ledger: SqlLedger, path: Path) -> bool:
    """Costs and sums are written together or not at all."""
    with closing(sqlite3.connect(path)) as connection:
        of_rows = connection.execute("SELECT coalesce(sum(cost), 0) FROM attempts").fetchone()[0]
        of_hours = connection.execute("SELECT coalesce(sum(cost), 0) FROM hours").fetchone()[0]
    return bool(of_rows == of_hours == ledger.sums().settled)


def restarted(path: Path, bound_s: float = _RESTART_S) -> tuple[SqlLedger, float]:
    """
    The ledger after a crash, and in how many seconds it was ready.

    Where that is long the same is done to a copy of what the crash had left: what the ledger does takes as long again,
    a moment in which the whole machine stood still does not come twice.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as left:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy2(file, left)
        ledger, took = _opened_in_s(path)
        if took >= bound_s:
            again, took = _opened_in_s(Path(left) / path.name)
            again.stop()
    return ledger, took


def _opened_in_s(path: Path) -> tuple[SqlLedger, float]:
    began = time.monotonic()
    ledger = opened(path)
    return ledger, time.monotonic() - began


def test_killed_ledger(victims: Victims, fast_folder: Path) -> None:
    """
    However often a process is killed in the middle of it all: what it had acknowledged is on record, what was under way
    is in doubt, the file is whole, and the next start takes no time.
    """
    chance = random.Random(_KILLS)
    slowest = 0.0
    for trial in range(_KILLS):
        path = fast_folder / f"{trial % _LEDGERS}.db"
        done = victims.run(trial, path, chance.choice([0, 1, chance.randrange(20), chance.randrange(_MOST_LINES)]))

        ledger, took = restarted(path)
        slowest = max(slowest, took)
        found = on_record(path, trial)
        assert done.reserved <= found.keys()
        assert done.settled == {name: found[name]["cost"] for name in done.settled}
        assert {"settled"} >= {found[name]["state"] for name in done.settled}
        assert State.RESERVED.value not in {row["state"] for row in found.values()}
        assert has_exact_sums(ledger, path)
        assert ledger.faults() is None
        ledger.stop()

    assert slowest < _RESTART_S


# The whole gateway


class Gateways:
    """`orgate serve`, killed and started again on the same state folder."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.db"
        self._settings = {
            "OPENROUTER_API_KEY": KEY,
            "OPENROUTER_BASE_URL": sandbox.url,
            "ORGATE_RATE_CHAT": "1000000 per minute",
            "ORGATE_SETTLE_AFTER": "1",
            "LOG_LEVEL": "error",
        }
        settings = load({"ORGATE_STATE_DIR": str(folder)}, environment={}, working_folder=folder.parent)
        self.token = token_office(settings).issue("tester")[0]

    def start(self) -> Any:
        """A gateway, from the moment it answers."""
        return started("serve", "--port", "0", "--state-dir", str(self.folder), **self._settings)


class Traffic:
    """Apps that call until the gateway is gone."""

    _MODELS = ("sandbox/ok", "openai/gpt-4o-mini", "sandbox/long-20", "sandbox/cut-3", "sandbox/no-usage")

    def __init__(self, gateway: Running, token: str, seed: int) -> None:
        self._url = f"{gateway.told['base_url']}/v1/chat/completions"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._seed = seed
        self._answered = threading.Semaphore(0)
        self._pool = ThreadPoolExecutor(4)
        self._running = [self._pool.submit(self._call, thread) for thread in range(4)]

    def wait_for(self, answers: int) -> None:
        """Until so many calls have ended."""
        for _ in range(answers):
            assert self._answered.acquire(timeout=20)

    def end(self) -> None:
        """All of them have noticed."""
        for each in self._running:
            each.result(20)
        self._pool.shutdown()

    def _call(self, thread: int) -> None:
        chance = random.Random(f"{self._seed} {thread}")
        session = requests.Session()
        session.trust_env = False
        with suppress(requests.RequestException):
            while True:
                body = {
                    "model": chance.choice(self._MODELS),
                    "messages": [{"role": "user", "content": "Hello"}],
                    "stream": chance.random() < 0.6,
                }
                session.post(self._url, json=body, headers=self._headers, timeout=20)
                self._answered.release()


def test_killed_gateway(tmp_path: Path) -> None:
    """
    Whenever a gateway is killed, every POST that OpenRouter saw has its row, and after a restart the ledger comes to
    OpenRouter's own total with no hold open.
    """
    chance = random.Random(_SERVE_KILLS)
    with Sandbox(interval_s=0.001) as sandbox:
        sandbox.account(total_credits="1000000", generation_delay_ms=50)
        gateways = Gateways(sandbox, tmp_path / "state")
        posts = 0
        for trial in range(_SERVE_KILLS):
            with gateways.start() as gateway:
                traffic = Traffic(gateway, gateways.token, trial)
                traffic.wait_for(chance.randrange(30))
                gateway.process.kill()
                gateway.process.wait()
                traffic.end()
            assert sandbox.wait_until(lambda log: all(entry["ended"] != "open" for entry in log))
            posts += sum(entry["method"] == "POST" for entry in sandbox.log())
            sandbox.backend.journal.clear()
            assert posts <= len(rows(gateways.ledger))
        nameless = [row for row in rows(gateways.ledger) if row["generation_id"] is None]
        billed = {each["id"] for each in sandbox.bill()["generations"]}
        known = {row["generation_id"] for row in rows(gateways.ledger)}
        assert len(billed - known) <= len(nameless)
        with gateways.start():
            assert comes_true(lambda: {"reserved", "ambiguous"}.isdisjoint(states(gateways.ledger)), within_s=60)
        total = int(Decimal(sandbox.bill()["total_cost"]) * NANO)

    assert total == sum(row["cost"] or 0 for row in rows(gateways.ledger))
    assert [] == rows(gateways.ledger, "outside")


def states(path: Path) -> set[str]:
    return {row["state"] for row in rows(path)}


def test_restart_with_a_thousand_open(fast_folder: Path, victims: Victims) -> None:
    """A thousand attempts that a crash has left open are in doubt within a second of the next start."""
    path = fast_folder / "ledger.db"
    victims.run(0, path, 2_000)
    assert len(rows(path)) >= 1_000
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE attempts SET state = 'reserved', cost = NULL")

    ledger, took = restarted(path, 1.0)

    assert took < 1
    assert {State.AMBIGUOUS} == {attempt.state for attempt in ledger.open()}
    ledger.stop()
