from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from app.sandbox import Sandbox
from app.services import kept
from tests.gateway import KEY, Gateway, running_gateway
from tests.tray.places import announce, announced, deaf_server, foreign_server, free_port, settings
from tray import client as client_module
from tray.client import Client, Failed
from tray.reading import Reading, Trouble
from tray.settings import Settings

Start = Callable[..., Gateway]


def look(found: Settings, *, force: bool = False) -> Reading:
    """One look at whatever these settings lead to."""
    return Client(found, time.time).look(force=force)


def test_figures(gateway: Gateway) -> None:
    """A look brings the balance, what each program has spent, and how the gateway is."""
    gateway.chat(token=gateway.token("editor"))

    reading = look(announced(gateway))

    assert (None, gateway.base_url) == (reading.trouble, reading.base_url)
    assert reading.credits is not None
    assert reading.today is not None
    assert reading.month is not None
    assert reading.health is not None
    spent = Decimal(gateway.sandbox.bill()["total_cost"])
    assert Decimal(25) - Decimal("7.42") - spent == reading.credits.remaining
    assert (("editor", spent),) == reading.today.by_app == reading.month.by_app
    assert (None, None) == (reading.health.error, reading.health.closed)


def test_force(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forced look asks OpenRouter; an ordinary one shows what the gateway knows."""
    monkeypatch.setattr(kept, "_FORCE_PAUSE_S", 0.0)
    found = announced(gateway)
    look(found)
    gateway.sandbox.account(total_credits=35)

    amounts = [reading.credits and reading.credits.remaining for reading in (look(found), look(found, force=True))]

    assert [Decimal("17.58"), Decimal("27.58")] == amounts


def test_key_cap(gateway: Gateway) -> None:
    """Where OpenRouter keeps the balance from the key, the balance is unknown and the cap is a cap."""
    gateway.sandbox.account(credits="forbidden", key_limit=5)

    credits = look(announced(gateway)).credits

    assert credits is not None
    assert credits.cap is not None
    assert (None, None, Decimal(5)) == (credits.remaining, credits.total, credits.cap.left)


def test_budgets_and_pauses(gateway: Gateway) -> None:
    """A look brings who may spend what, and who may not at all."""
    gateway.services.office.issue("agent", budgets={"day": 10**9})
    gateway.services.pauses.pause("agent")

    today = look(announced(gateway)).today

    assert today is not None
    assert [("agent", "day", Decimal(1), Decimal(1))] == [
        (one.app, one.period, one.limit, one.left) for one in today.budgets
    ]
    assert {"agent"} == today.paused


def test_demo(gateway: Gateway, tmp_path: Path) -> None:
    """Without a gateway on the state folder the demo's is found; a gateway that has ended hides none."""
    found = announced(gateway)
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        ended.wait()
    announce(tmp_path / "outer", "http://127.0.0.1:1", "x", pid=ended.pid)
    announce(tmp_path / "outer" / "demo", gateway.base_url, (found.state / "token").read_text())

    assert gateway.base_url == look(settings(tmp_path / "outer")).base_url


def test_crashed_gateway_hides_no_demo(gateway: Gateway, tmp_path: Path) -> None:
    """The file of a crashed gateway hides no demo either, though its process id is another program's by now."""
    found = announced(gateway)
    announce(tmp_path / "outer", f"http://127.0.0.1:{free_port()}", "x")
    announce(tmp_path / "outer" / "demo", gateway.base_url, (found.state / "token").read_text())

    assert gateway.base_url == look(settings(tmp_path / "outer")).base_url


def test_hung_gateway_is_not_passed_over(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that takes connections is there, and a demo beside it is not shown in its place."""
    monkeypatch.setattr(client_module, "_READ_S", 0.1)
    with deaf_server() as url:
        announce(tmp_path / "outer", url, "x")
        announce(tmp_path / "outer" / "demo", gateway.base_url, "y")

        assert Trouble.SILENT is look(settings(tmp_path / "outer")).trouble


def test_another_program_on_a_crashed_gateways_port(tmp_path: Path) -> None:
    """What a crashed gateway left leads to nobody: the gateway is not running, and no stranger sees the token."""
    with foreign_server(200) as other:
        announce(tmp_path / "s", other.url, "a-secret-token")
        reading = look(settings(tmp_path / "s"))

    assert Trouble.DOWN is reading.trouble
    assert "a-secret-token" not in str(other.headers)


def test_address_and_token_given(gateway: Gateway, tmp_path: Path) -> None:
    """An address and a token that are given are used, whatever the state folder says."""
    token = gateway.token("orgate", own=True)

    assert look(settings(tmp_path, gateway.base_url, token)).trouble is None


def test_no_gateway(tmp_path: Path) -> None:
    """Without a gateway, and with one that was killed, the trouble is that none runs."""
    announce(tmp_path / "killed", f"http://127.0.0.1:{free_port()}", "x")

    assert Trouble.DOWN is look(settings(tmp_path)).trouble
    assert Trouble.DOWN is look(settings(tmp_path / "killed")).trouble


def test_wrong_token(gateway: Gateway, tmp_path: Path) -> None:
    """A token of nobody, a revoked one and that of a program without the right are refused, and that is said."""
    gateway.services.office.issue("old")
    revoked = gateway.token("gone")
    gateway.services.office.revoke("gone")
    weak = gateway.token("weak", scopes=["chat"])

    troubles = [look(settings(tmp_path, gateway.base_url, token)).trouble for token in ("nonsense", revoked, weak)]

    assert [Trouble.TOKEN_REFUSED] * 3 == troubles


def test_no_token(gateway: Gateway, tmp_path: Path) -> None:
    """That there is no token is told apart from all else."""
    announce(tmp_path / "bare", gateway.base_url, None)

    assert Trouble.NO_TOKEN is look(settings(tmp_path / "bare")).trouble


def test_no_key(make_gateway: Start, tmp_path: Path) -> None:
    """A gateway whose key was taken away says so, and still tells what was spent."""
    (tmp_path / "state0").mkdir()
    (tmp_path / "state0" / "key").write_text(KEY)
    gateway = make_gateway(openrouter_api_key="", openrouter_background_refresh="false")
    found = announced(gateway)
    assert look(found).trouble is None
    (tmp_path / "state0" / "key").unlink()

    reading = look(found)

    assert Trouble.NO_KEY is reading.trouble
    assert reading.today is not None


def test_key_refused(gateway: Gateway) -> None:
    """A key that OpenRouter refuses is no matter of the tray's token."""
    gateway.sandbox.account(revoked=["cdef"])

    assert Trouble.KEY_REFUSED is look(announced(gateway)).trouble


def test_key_refused_during_a_call(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is refused in a call is known at the next look, though the balance was asked for just before."""
    monkeypatch.setattr(kept, "_FORCE_PAUSE_S", 0.0)
    found = announced(gateway)
    assert look(found).trouble is None
    gateway.sandbox.account(revoked=["cdef"])
    gateway.chat()

    assert Trouble.KEY_REFUSED is look(found).trouble


def test_openrouter_away(make_gateway: Start) -> None:
    """OpenRouter out of reach is no fault of the gateway's."""
    away = make_gateway(openrouter_base_url=f"http://127.0.0.1:{free_port()}/api/v1")

    assert Trouble.UNREACHABLE is look(announced(away)).trouble


def test_openrouter_goes_away(tmp_path: Path) -> None:
    """When OpenRouter goes away the last figures are told, as stale."""
    with (
        Sandbox() as sandbox,
        running_gateway(sandbox, tmp_path / "state", openrouter_cache_ttl_credits="1") as gateway,
    ):
        found = announced(gateway)
        look(found)
        sandbox.stop()
        reading = look(found)

    assert reading.trouble is None
    assert reading.credits is not None
    assert (True, Decimal("17.58")) == (reading.credits.stale, reading.credits.remaining)


def test_quota(make_gateway: Start) -> None:
    """A quota that is used up is told without counting the seconds, since what is shown must stand still."""
    found = announced(make_gateway(orgate_rate_models="2 per hour", openrouter_background_refresh="false"))
    look(found)

    assert (Trouble.REFUSED, None) == (look(found).trouble, look(found).today)
    assert not any(digit in look(found).why for digit in "0123456789")


def test_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes connections and says nothing is silent, not gone."""
    monkeypatch.setattr(client_module, "_READ_S", 0.1)
    with deaf_server() as url:
        assert Trouble.SILENT is look(settings(tmp_path, url, "x")).trouble


@pytest.mark.parametrize("status", [200, 302, 401, 404, 500])
def test_foreign(tmp_path: Path, status: int) -> None:
    """Something else at the gateway's address is known for it, and never sees the token."""
    with foreign_server(status) as other:
        reading = look(settings(tmp_path, other.url, "a-secret-token"))

    assert Trouble.FOREIGN is reading.trouble
    assert 1 == len(other.headers)
    assert "a-secret-token" not in str(other.headers)


def test_impostor(tmp_path: Path) -> None:
    """What plays the gateway at first and then makes no sense is found out."""
    with foreign_server(204, "") as other:
        assert Trouble.FOREIGN is look(settings(tmp_path, other.url, "x")).trouble


def test_proxies_of_the_environment(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy that the environment names comes between the tray and the gateway."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert look(announced(gateway)).trouble is None


def test_stopping_programs(gateway: Gateway) -> None:
    """One program, and all of them, can be paused and let go on; an unknown name is told."""
    client = Client(announced(gateway), time.time)
    gateway.services.office.issue("agent")

    client.pause("agent")
    assert {"agent"} == gateway.services.pauses.paused()
    client.pause()
    assert {"agent", "*"} == gateway.services.pauses.paused()
    client.resume()
    assert set() == gateway.services.pauses.paused()
    assert 0 == client.end()
    with pytest.raises(Failed, match="nobody"):
        client.pause("nobody")


def test_ending_calls(gateway: Gateway) -> None:
    """Running calls can be ended, and how many those were is told."""
    running = gateway.chat("sandbox/drip-500", stream=True)
    running.raw.read1(64)

    assert 1 == Client(announced(gateway), time.time).end()
    running.close()


def test_nothing_stays_open(gateway: Gateway) -> None:
    """Between two looks the tray keeps no connection open."""
    found = announced(gateway)
    look(found)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        look(found)

    assert before + 2 >= (len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0)


def test_signature(gateway: Gateway, tmp_path: Path) -> None:
    """That a gateway has come or gone can be seen without asking anybody."""
    client = Client(settings(tmp_path / "s"), time.time)
    before = client.signature()
    announce(tmp_path / "s", gateway.base_url, "x")
    running = client.signature()
    (tmp_path / "s" / "gateway.json").unlink()

    assert before != running
    assert before == client.signature()
