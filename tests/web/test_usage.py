from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from app.core.ledger import Checkpoint
from app.core.money import NANO
from app.factory import MOUNTS
from app.sandbox import Sandbox
from tests.gateway import Gateway
from tests.lab.client.lab import comes_true

CHEAP, DEAR = "openai/gpt-4o-mini", "anthropic/claude-haiku-4.5"
EPOCH = "1970-01-01"


def usage(gateway: Gateway, **query: str) -> Any:
    """The report, once everything so far is written down."""
    gateway.services.ledger.flush()
    reply = gateway.get("/usage", params=query)
    assert 200 == reply.status_code, reply.text
    return reply.json()


@pytest.fixture
def spent(gateway: Gateway) -> Gateway:
    """A gateway through which two apps have spent some money, plain and streamed, on two models."""
    editor, notes = gateway.token("editor"), gateway.token("notes")
    for token, model, stream in ((editor, CHEAP, False), (editor, DEAR, True), (notes, DEAR, False)):
        assert gateway.chat(model, "Tell me a story.", stream=stream, token=token).content
    return gateway


@pytest.mark.parametrize(
    ("by", "keys"),
    [("app", {"editor", "notes"}), ("model", {CHEAP, DEAR}), ("agent", {None})],
)
def test_figures_are_the_bills(spent: Gateway, sandbox: Sandbox, by: str, keys: set[str | None]) -> None:
    """However it is grouped, the total is what OpenRouter bills, and the rows add up to it."""
    told = usage(spent, by=by)

    assert sandbox.bill()["total_cost"] == told["total_cost"] != "0"
    assert Decimal(told["total_cost"]) == sum(Decimal(row["cost"]) for row in told["data"])
    assert keys == {row[by] for row in told["data"]}
    assert (3, 3) == tuple(sum(row[name] for row in told["data"]) for name in ("calls", "attempts"))


def test_days(spent: Gateway, sandbox: Sandbox) -> None:
    """Grouped by day, as it is if nothing is said, a row has everything that there is to tell."""
    told = usage(spent)
    bill = sandbox.bill()

    assert ("day", None, "0", "0", "0") == tuple(told[name] for name in ("by", "since", "held", "unsettled", "outside"))
    assert ([], []) == (told["budgets"], told["paused"])
    (row,) = told["data"]
    assert told["until"][:10] == row["day"]
    assert (bill["total_cost"], "0") == (row["cost"], row["estimated"])
    assert row["prompt_tokens"] > 0 < row["completion_tokens"]


def test_dearest_first(spent: Gateway) -> None:
    """Apps, models and agents stand in the order of what they cost."""
    costs = [Decimal(row["cost"]) for row in usage(spent, by="model")["data"]]

    assert sorted(costs, reverse=True) == costs


def test_chain(gateway: Gateway, sandbox: Sandbox) -> None:
    """A call that a second model answered is one call and two attempts, the second model's money."""
    gateway.chat("sandbox/404-no-endpoints", models=[CHEAP])

    rows = {row["model"]: row for row in usage(gateway, by="model")["data"]}

    assert {"sandbox/404-no-endpoints": "0", CHEAP: sandbox.bill()["total_cost"]} == {
        name: row["cost"] for name, row in rows.items()
    }
    assert [(1, 2)] == [(row["calls"], row["attempts"]) for row in usage(gateway, by="app")["data"]]


@pytest.mark.parametrize("mount", MOUNTS)
def test_mounts(spent: Gateway, mount: str) -> None:
    """It stands at all three addresses."""
    spent.services.ledger.flush()

    reply = spent.request("GET", f"{mount}/usage?by=app")

    assert (200, 2) == (reply.status_code, len(reply.json()["data"]))


def test_time(spent: Gateway, sandbox: Sandbox) -> None:
    """Only the time that was asked for counts, in `data` and in `total_cost`."""
    bill = sandbox.bill()["total_cost"]
    for since in ("24h", "7d", "30d", "month", "week", EPOCH, f"{EPOCH}T00:00:00Z"):
        told = usage(spent, since=since)
        assert (bill, 1) == (told["total_cost"], len(told["data"])), since

    before = usage(spent, until="2026-01-01")

    assert ("0", [], None, "2026-01-01T00:00:00Z") == tuple(
        before[name] for name in ("total_cost", "data", "since", "until")
    )


def test_clock_set_back(spent: Gateway, sandbox: Sandbox) -> None:
    """What was spent while the clock was ahead is in the report, though by the clock it lies in the future."""
    spent.services.ledger.flush()
    with sqlite3.connect(spent.folder / "ledger.db") as connection:
        connection.execute("UPDATE hours SET hour = hour + 2")
    connection.close()

    assert sandbox.bill()["total_cost"] == usage(spent)["total_cost"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"by": "hour"}, "by"),
        ({"since": "yesterday"}, "since"),
        ({"until": "1d2h"}, "until"),
        ({"since": "2999-01-01"}, "since"),
        ({"since": "7d", "until": "30d"}, "since"),
    ],
    ids=str,
)
def test_bad_query(gateway: Gateway, query: dict[str, str], param: str) -> None:
    """What cannot be meant is a 400 that names the parameter."""
    reply = gateway.get("/usage", params=query)

    assert (400, param) == (reply.status_code, reply.json()["error"]["param"])


def test_held(gateway: Gateway, sandbox: Sandbox) -> None:
    """While a call runs its hold is told; when its app has left, it is unsettled until OpenRouter tells the cost."""
    sandbox.account(generation_delay_ms=60_000)
    running = gateway.chat("sandbox/drip-50", stream=True, max_tokens=100)
    running.raw.read1(64)

    during = usage(gateway)
    running.close()
    assert comes_true(lambda: gateway.services.ledger.sums().unsettled)
    after = usage(gateway)

    assert Decimal(during["held"]) > 0
    assert "0" == during["unsettled"]
    assert during["held"] == after["held"] == after["unsettled"]


def test_budgets(gateway: Gateway, sandbox: Sandbox) -> None:
    """Every budget is told with what is spent, held and left of it, and when it is new."""
    token = gateway.token("agent", budgets={"month": 50 * NANO, "total": NANO // 10})
    gateway.chat(CHEAP, token=token)

    month, total = usage(gateway)["budgets"]

    bill = sandbox.bill()["total_cost"]
    assert ("agent", "month", "50", bill, "0") == tuple(
        month[name] for name in ("app", "period", "limit", "spent", "held")
    )
    assert Decimal(50) - Decimal(bill) == Decimal(month["left"])
    assert month["resets_at"].endswith("-01T00:00:00Z")
    assert ("total", "0.1", None) == (total["period"], total["limit"], total["resets_at"])


def test_outside(spent: Gateway, sandbox: Sandbox) -> None:
    """What others spent on the account is told apart, and only within the time asked for."""
    now = spent.services.clock.now()
    spent.services.ledger.reconciled("key", Checkpoint(now, None, NANO, 0, 0), NANO // 4, "credits")

    assert ("0.25", sandbox.bill()["total_cost"]) == tuple(usage(spent)[name] for name in ("outside", "total_cost"))
    assert "0" == usage(spent, until="2026-01-01")["outside"]


def test_scope(spent: Gateway) -> None:
    """A token with the scope "usage" sees all apps, another none."""
    may, may_not = spent.token("script", scopes=["usage"]), spent.token("other", scopes=["chat", "models", "credits"])
    spent.services.ledger.flush()

    assert 2 == len(spent.get("/usage?by=app", token=may).json()["data"])
    assert [403, 401] == [spent.get("/usage", token=token).status_code for token in (may_not, None)]


def test_paused(gateway: Gateway) -> None:
    """Who is paused is told; while that cannot be read it is null, and the figures are told all the same."""
    gateway.services.pauses.pause("editor")
    known = usage(gateway)["paused"]
    (gateway.folder / "paused.json").write_text("{")

    assert (["editor"], None) == (known, usage(gateway)["paused"])


def test_quota(make_gateway: Callable[..., Gateway]) -> None:
    """It counts against the quota of short requests."""
    gateway = make_gateway(orgate_rate_models="1 per minute", openrouter_background_refresh="false")
    token = gateway.token()

    assert [200, 429] == [gateway.get("/usage", token=token).status_code for _ in range(2)]
