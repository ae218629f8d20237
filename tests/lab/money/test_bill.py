from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.core.money import NANO
from app.sandbox.server import Sandbox
from tests.gateway import Gateway, running_gateway
from tests.lab.client.lab import comes_true
from tests.lab.client.raw_app import RawApp, pause

_LONG = bool(os.environ.get("ORGATE_LONG"))
_CALLS = 100_000 if _LONG else 3_000
_THREADS = 8
_APPS = ("editor", "chat-window", "script")

_GOOD = ("openai/gpt-4o-mini", "anthropic/claude-haiku-4.5", "sandbox/ok", "sandbox/long-20", "sandbox/duplicate-usage")
_FAULTS = (
    *("status-500", "status-429", "502-html", "reset", "garbage", "error-in-200", "empty", "no-choices", "204"),
    *("reset-mid-2", "cut-3", "cut-clean-1", "garbage-stream-2", "short-length", "choice-error-2", "error-mid-2"),
    *("no-usage", "absurd-usage-0", "absurd-usage-1", "absurd-usage-2", "absurd-usage-3", "gzip-lie", "wrong-type"),
    *("no-done", "error-mid-recorded-2", "no-choices", "delay-30", "503-retry-after-0"),
)


def drawn(number: int) -> tuple[list[str], bool, bool, float | None]:
    """Models, streamed, delivered whole, and after how many seconds the app leaves if it does."""
    chance = random.Random(number)
    models = [f"sandbox/{chance.choice(_FAULTS)}" if chance.random() < 0.05 else chance.choice(_GOOD)]
    if chance.random() < 0.3:
        models.append(chance.choice(_GOOD))
    leaves_s = chance.uniform(0, 0.03) if chance.random() < 0.10 else None
    return models, chance.random() < 0.6, chance.random() < 0.1, leaves_s


class _Traffic:
    """Apps that call, some of which leave."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tokens = [gateway.token(app) for app in _APPS]
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def make(self, number: int) -> None:
        models, stream, whole, leaves_s = drawn(number)
        with RawApp(self._gateway, self._tokens[number % len(_APPS)]) as app:
            wishes = ("X-Orgate-Delivery: whole",) if whole else ()
            app.chat(models[0], *wishes, stream=stream, models=models[1:])
            if leaves_s is not None:
                pause(leaves_s)
                app.leave("rst" if number % 2 else "fin")
                told = "left"
            else:
                told = str(app.reply().status)
        with self._lock:
            self.outcomes[told] += 1


def _rows(gateway: Gateway) -> list[dict[str, Any]]:
    connection = sqlite3.connect(gateway.folder / "ledger.db")
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute("SELECT * FROM attempts")]
    finally:
        connection.close()


@pytest.mark.long
def test_ledger_and_bill(tmp_path: Path) -> None:
    """
    After thousands of calls with faults and apps that leave, ledger and bill agree to the nano-dollar, every POST has
    its row, and no hold is open.
    """
    settings = {"orgate_rate_chat": "1000000 per minute", "orgate_settle_after": "1", "log_level": "error"}
    with Sandbox(interval_s=0.0005) as sandbox, running_gateway(sandbox, tmp_path / "state", **settings) as gateway:
        sandbox.account(total_credits="1000000")
        gateway.services.models.kept.get()
        gateway.services.reconciler.start()
        traffic = _Traffic(gateway)
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(traffic.make, range(_CALLS)))

        comes_true(lambda: not gateway.services.ledger.open(), within_s=60)
        rows, bill = _rows(gateway), sandbox.bill()
        usage = gateway.get("/usage?by=app").json()
        posts = [row for row in sandbox.log() if row["method"] == "POST"]

    assert [] == [row for row in rows if row["state"] in ("reserved", "ambiguous")]
    billed = {each["id"]: int(Decimal(each["cost"]) * NANO) for each in bill["generations"]}
    kept = {row["generation_id"]: row["cost"] for row in rows if row["source"] in ("answer", "generation")}
    assert {} == {name: (cost, billed.get(name)) for name, cost in kept.items() if billed.get(name) != cost}
    assert int(Decimal(bill["total_cost"]) * NANO) == sum(row["cost"] or 0 for row in rows)
    assert (bill["total_cost"], "0", "0") == (usage["total_cost"], usage["held"], usage["unsettled"])
    assert "0" == usage["outside"]
    if _CALLS < 10_000:
        # The sandbox's log holds the last ten thousand requests.
        assert len(posts) <= len(rows) <= len(posts) + traffic.outcomes["left"]
