from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from app.adapters.ledger import SqlLedger
from app.adapters.statefiles import private_folder
from app.core.ledger import Closing, Hold, Source, State
from app.core.money import NANO
from app.sandbox import Sandbox
from app.services import kept
from tests.gateway import Gateway, running_gateway
from tests.services.fakes import FakeClock, Recorder
from tests.upstream import ScriptedUpstream

KEY_ANSWER = {"data": {"label": "sk-or-v1-abc...def", "usage": 3.17, "limit": 10, "limit_remaining": 6.83}}


@pytest.fixture
def scripted(make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> Gateway:
    """A gateway in front of the scripted upstream, with nothing fetched ahead of need."""
    upstream.give("/key", 200, KEY_ANSWER)
    upstream.give("/credits", 200, {"data": {"total_credits": 100.5, "total_usage": 25.75}})
    return make_gateway(openrouter_base_url=upstream.url, openrouter_background_refresh="false")


def test_figures(gateway: Gateway) -> None:
    """The balance has the document's fields, and what OpenRouter's own SDKs read beside them."""
    credits = gateway.get("/credits").json()

    assert (25, 7.42, 17.58) == tuple(credits[f"{name}_credits"] for name in ("total", "used", "remaining"))
    assert {"total_credits": 25, "total_usage": 7.42} == credits["data"]
    assert ("credits", False, False) == (credits["source"], credits["stale"], credits["estimated"])
    assert {"label", "used", "limit", "is_free_tier", "rate_limit"} <= set(credits["usage"])
    assert {"usage_limit", "rate_limit", "as_of", "age_s"} <= set(credits)


@pytest.mark.parametrize("mode", ["forbidden", "zero"])
def test_unknown_balance(gateway: Gateway, sandbox: Sandbox, mode: str) -> None:
    """Where OpenRouter keeps the balance from ordinary keys it is null, never 0, and a key's cap is no balance."""
    sandbox.account(credits=mode, key_limit="12.50")

    credits = gateway.get("/credits").json()

    assert (None, None, None) == tuple(credits[f"{name}_credits"] for name in ("total", "used", "remaining"))
    assert "key" == credits["source"]
    assert (12.5, 12.5) == (credits["usage_limit"], credits["usage"]["limit"])
    assert {"total_credits": None, "total_usage": None} == credits["data"]


def test_spending_is_taken_off_at_once(gateway: Gateway, sandbox: Sandbox) -> None:
    """Between fetches the balance already lacks what was spent through the gateway, and says that it is an estimate."""
    before = gateway.get("/credits").json()
    cost = gateway.chat("openai/gpt-4o", "Tell me a story.").json()["usage"]["cost"]

    after = gateway.get("/credits").json()

    assert cost > 0
    assert pytest.approx(before["remaining_credits"] - cost) == after["remaining_credits"]
    assert True is after["estimated"]
    assert before["as_of"] == after["as_of"]


def test_force(gateway: Gateway, sandbox: Sandbox) -> None:
    """?force=true asks OpenRouter again, at most once a second."""
    gateway.get("/credits")
    sandbox.account(total_credits="40")

    def forced() -> float:
        return float(gateway.get("/credits", params={"force": "true"}).json()["total_credits"])

    first = forced()
    sandbox.account(total_credits="50")
    second = forced()

    assert {first, second} <= {25, 40}
    assert 2 >= sum(entry["path"].endswith("/credits") for entry in sandbox.log())


def test_a_failure_is_never_cached(
    scripted: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 502 is told as it is and forgotten: the next good answer is shown as soon as OpenRouter is asked again."""
    monkeypatch.setattr(kept, "_FORCE_PAUSE_S", 0.0)
    upstream.give("/credits", 502, "<html>bad gateway</html>")
    failed = scripted.get("/credits")
    upstream.give("/credits", 200, {"data": {"total_credits": 100.5, "total_usage": 25.75}})

    good = scripted.get("/credits", params={"force": "true"})

    assert (504, 200) == (failed.status_code, good.status_code)
    assert 74.75 == good.json()["remaining_credits"]


def test_last_good_figures(make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    """When OpenRouter fails, the last good balance is shown and marked stale."""
    upstream.give("/key", 200, KEY_ANSWER)
    upstream.give("/credits", 200, {"data": {"total_credits": 10, "total_usage": 4}})
    gateway = make_gateway(
        openrouter_base_url=upstream.url, openrouter_cache_ttl_credits="1", openrouter_background_refresh="false"
    )
    fresh = gateway.get("/credits").json()
    upstream.give("/credits", 503, {"error": {"code": 503, "message": "down"}})

    old = gateway.get("/credits")

    assert (6, False) == (fresh["remaining_credits"], fresh["stale"])
    assert (200, 6, True) == (old.status_code, old.json()["remaining_credits"], old.json()["stale"])


def test_refused_key(make_gateway: Callable[..., Gateway], upstream: ScriptedUpstream) -> None:
    """A key that OpenRouter refuses is told with what to do, whatever old figures are at hand."""
    upstream.give("/key", 200, KEY_ANSWER)
    gateway = make_gateway(
        openrouter_base_url=upstream.url, openrouter_cache_ttl_credits="1", openrouter_background_refresh="false"
    )
    gateway.get("/credits")
    for path in ("/credits", "/key"):
        upstream.give(path, 401, {"error": {"code": 401, "message": "User not found."}})

    reply = gateway.get("/credits")

    assert 401 == reply.status_code
    assert "orgate key set" in reply.json()["error"]["message"]


def test_one_fetch_for_all(scripted: Gateway, upstream: ScriptedUpstream) -> None:
    """Twenty programs that ask at the same time cost one request to OpenRouter."""
    token = scripted.token()
    upstream.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(scripted.get, "/credits", token=token) for _ in range(20)]
        upstream.arrived.acquire(timeout=5)
        upstream.gate.set()
        statuses = {reply.result().status_code for reply in waiting}

    assert {200} == statuses
    assert {"/credits": 1, "/key": 1} == upstream.hits


def test_management_key(make_gateway: Callable[..., Gateway], sandbox: Sandbox) -> None:
    """With OPENROUTER_MANAGEMENT_KEY the balance is known although the ordinary key may not see it."""
    sandbox.account(credits="forbidden")
    gateway = make_gateway(openrouter_management_key="sk-or-v1-mgmt-0123456789")

    credits = gateway.get("/credits").json()

    assert ("credits", 17.58) == (credits["source"], credits["remaining_credits"])


def _spent(folder: Path, hours_ago: float, dollars: int) -> None:
    """Write into the ledger of a gateway that is to be started what was spent some time ago."""
    clock = FakeClock()
    clock.time = time.time() - hours_ago * 3600
    ledger = SqlLedger(private_folder(folder) / "ledger.db", clock, Recorder())
    ledger.open_for_use()
    name = f"call_{hours_ago}:1"
    ledger.reserve(Hold(name, "call", 1, "tester", "/chat/completions", "m", "m", "key", NANO, True), [])
    ledger.close(Closing(name, State.SETTLED, cost=dollars * NANO, source=Source.ANSWER))
    ledger.stop()


def test_forecast(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """The balance comes with the pace of spending and the moment it leads to nothing, as numbers."""
    _spent(tmp_path / "state0", 20, 10)
    gateway = make_gateway(openrouter_background_refresh="false")

    credits = gateway.get("/credits").json()

    forecast = credits["forecast"]
    assert {"1h": 0, "24h": pytest.approx(0.5, 0.01), "7d": None} == forecast["per_hour"]
    assert (None, None) == (forecast["reason"], forecast["unusual"])
    left_h = (datetime.fromisoformat(forecast["ends_at"]).timestamp() - time.time()) / 3600
    assert pytest.approx(credits["remaining_credits"] / 0.5, 0.01) == left_h


def test_no_forecast(gateway: Gateway, sandbox: Sandbox) -> None:
    """Without a history there is no forecast but the reason why."""
    unknown = {"per_hour": {"1h": None, "24h": None, "7d": None}, "ends_at": None, "unusual": None}

    assert {**unknown, "reason": "not_enough_data"} == gateway.get("/credits").json()["forecast"]


def test_free_requests(gateway: Gateway) -> None:
    """What is left of the day's requests to free models is told."""
    gateway.chat("sandbox/ok:free")

    assert {"used", "limit", "remaining"} == set(gateway.get("/credits").json()["free_requests"])


def test_no_free_requests(scripted: Gateway) -> None:
    """Where OpenRouter does not tell the free requests they are null."""
    assert None is scripted.get("/credits").json()["free_requests"]


def test_one_alert_over_restarts(sandbox: Sandbox, tmp_path: Path) -> None:
    """A gateway that starts again knows what it warned of."""
    sandbox.account(total_usage="20.5")
    alerts = []
    for _ in range(2):
        with running_gateway(sandbox, tmp_path / "state", openrouter_background_refresh="false") as gateway:
            gateway.get("/credits")
            told = gateway.services.bulletin.reader(0).more(5) or []
            alerts.append([notice.event for notice in told if notice.kind == "alert"])

    assert [["credits.low"], []] == alerts


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_alert_command(make_gateway: Callable[..., Gateway], sandbox: Sandbox, tmp_path: Path) -> None:
    """ORGATE_ALERT_COMMAND is run with the alert on its input."""
    box = tmp_path / "a box"
    os.mkfifo(box)
    gateway = make_gateway(
        openrouter_background_refresh="false", orgate_alert_command=f"sh -c 'cat > \"$1\"' sh '{box}'"
    )
    sandbox.account(total_usage="24.5")
    gateway.get("/credits")

    told = json.loads(box.read_bytes())

    assert ("credits.low", "1", "0.5") == (told["event"], told["facts"]["below"], told["facts"]["remaining"])
