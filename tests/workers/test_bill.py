"""Money, with more than one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from app.core.money import NANO
from app.sandbox import Sandbox
from tests.adapters.ledger.ledgers import rows
from tests.lab.client.raw_app import RawApp, pause
from tests.lab.money.test_bill import drawn
from tests.waiting import eventually
from tests.workers.served import Crowd, crowd

_CALLS = 400
_APPS = ("editor", "chat-window", "script")


def make(gateway: Crowd, tokens: list[str], number: int) -> None:
    """One call over a connection of its own, whose app may leave, or may lose the process that has its call."""
    models, stream, whole, leaves_s = drawn(number)
    wishes = ["X-Orgate-Delivery: whole"] if whole else []
    if number % 7 == 0:
        wishes.append("X-Orgate-Queue: 5")
    with suppress(OSError, EOFError), RawApp(gateway, tokens[number % len(tokens)]) as app:  # type: ignore[arg-type]
        app.chat(models[0], *wishes, stream=stream, models=models[1:])
        if leaves_s is not None:
            pause(leaves_s)
            app.leave("rst" if number % 2 else "fin")
        else:
            app.reply()


def test_ledger_and_bill(tmp_path: Path) -> None:
    """
    After hundreds of calls with faults and apps that leave, and a carrier that was killed amid them, ledger and bill
    agree to the nano-dollar and no hold is open.
    """
    settings = {"ORGATE_RATE_CHAT": "1000000 per minute", "ORGATE_SETTLE_AFTER": "1", "LOG_LEVEL": "error"}
    with Sandbox(interval_s=0.0005) as sandbox, crowd(sandbox, tmp_path / "state", **settings) as gateway:
        sandbox.account(total_credits="1000000")
        tokens = [gateway.token(app) for app in _APPS]
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(make, gateway, tokens, number) for number in range(_CALLS)]
            eventually(lambda: len(gateway.posts()) > _CALLS // 3)
            [carrier] = gateway.carriers()
            gateway.kill(carrier)
            for call in calls:
                call.result()
        eventually(lambda: gateway.carriers() not in ([], [carrier]))

        ledger = gateway.folder / "ledger.db"
        eventually(
            lambda: [row for row in rows(ledger) if row["state"] in ("reserved", "ambiguous")],
            lambda still_open: not still_open,
            within_s=60,
        )
        kept, bill = rows(ledger), sandbox.bill()
        usage = gateway.request("GET", "/v1/usage?by=app", tokens[0]).json()
        posts = gateway.posts()

    billed = {each["id"]: int(Decimal(each["cost"]) * NANO) for each in bill["generations"]}
    told = {row["generation_id"]: row["cost"] for row in kept if row["source"] in ("answer", "generation")}
    assert {} == {name: (cost, billed.get(name)) for name, cost in told.items() if billed.get(name) != cost}
    assert int(Decimal(bill["total_cost"]) * NANO) == sum(row["cost"] or 0 for row in kept)
    assert (bill["total_cost"], "0", "0", "0") == tuple(
        usage[name] for name in ("total_cost", "held", "unsettled", "outside")
    )
    assert len(posts) <= len(kept)
