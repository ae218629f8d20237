"""The tray's whole inside, from the gateway on real sockets to the recording ports; only time is simulated."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import tray as tray_package
from app.sandbox import Sandbox
from app.services import kept
from tests.gateway import Gateway, running_gateway
from tests.tray.builders import MARKS
from tests.tray.fakes import (
    FakeClock,
    MemoryNotebook,
    RecordingDesk,
    RecordingNotifier,
    RecordingShell,
    ScriptedLauncher,
)
from tests.tray.places import announced, settings
from tray.client import Client
from tray.conductor import Conductor
from tray.poller import Poller
from tray.settings import Settings
from tray.state import State

Start = Callable[..., Gateway]
HOUR_S = 3600.0
HOURS = 24 if os.environ.get("ORGATE_LONG") else 4
"""The day, of which only a part is played unless there is time for it all."""


class Tray:
    """A tray beside a gateway, its day going by as fast as it is played."""

    def __init__(self, found: Settings) -> None:
        self.clock, self.shell, self.notifier = FakeClock(), RecordingShell(), RecordingNotifier()
        self.clock.wall = time.time()
        self.looks = 0
        client = Client(found, self.clock.now)
        self.conductor = Conductor(
            shell=self.shell,
            notifier=self.notifier,
            gateway=client,
            launcher=ScriptedLauncher(),
            login=None,
            desk=RecordingDesk(),
            notebook=MemoryNotebook(),
            clock=self.clock,
            marks=MARKS,
            refresh=lambda force: self.poller.refresh(force=force),
            on_well=lambda: None,
        )
        self.poller = Poller(
            look=self.conductor.look,
            deliver=self.conductor.take,
            woke=self.conductor.woke,
            hurry_s=self.conductor.hurry_s,
            signature=client.signature,
            clock=self.clock,
            poll_s=60.0,
        )

    def live(self, seconds: float) -> State:
        """Let so much time go by; the state then."""
        end = self.clock.steady + seconds
        while self.clock.steady < end:
            self.clock.pass_(max(self.poller.turn(), 0.001))
        return self.state

    @property
    def state(self) -> State:
        snapshot = self.conductor.snapshot
        assert snapshot is not None
        return snapshot.state


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_a_day(make_gateway: Start) -> None:
    """After 24 hours of looking the tray has no more memory and no more files than after its first hour."""
    # A day of looks takes seconds here: the quotas are for real time.
    often = "1000000 per second"
    gateway = make_gateway(openrouter_background_refresh="false", orgate_rate_credits=often, orgate_rate_models=often)
    tray = Tray(announced(gateway))
    tray.live(HOUR_S)
    gc.collect()
    files = descriptors()
    # The gateway lives in this process too: only what the tray's own modules hold is counted.
    own = [tracemalloc.Filter(True, f"{Path(tray_package.__file__).parent}/*")]
    tracemalloc.start()
    try:
        tray.live(HOUR_S)
        gc.collect()
        before = sum(stat.size for stat in tracemalloc.take_snapshot().filter_traces(own).statistics("filename"))
        tray.live((HOURS - 2) * HOUR_S)
        gc.collect()
        after = sum(stat.size for stat in tracemalloc.take_snapshot().filter_traces(own).statistics("filename"))
    finally:
        tracemalloc.stop()

    # Python's own stores fill up by some thousand bytes; one number kept from each look would be twice this.
    assert after - before < max(8192, 16 * (HOURS - 2) * 60)
    assert descriptors() <= files + 2
    assert 1 == len(tray.shell.shown)
    assert [] == tray.notifier.sent


def test_spending_and_top_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Falling credits turn the icon and bring one message each; a top-up brings it back, and nothing is repeated."""
    monkeypatch.setattr(kept, "_FORCE_PAUSE_S", 0.0)
    tray = Tray(announced(gateway))
    states = [tray.live(60)]
    for usage in (21, 21.5, 24.2, 24.3):
        gateway.sandbox.account(total_usage=usage)
        gateway.services.credits.get(force=True)
        states.append(tray.live(300))
    tray.conductor.act("top_up")
    gateway.sandbox.account(total_credits=45)
    states.append(tray.live(60))

    assert [State.OK, State.LOW, State.LOW, State.CRITICAL, State.CRITICAL, State.OK] == states
    assert ["balance", "balance", "top_up"] == tray.notifier.keys()
    assert ["normal", "critical", "normal"] == [one.urgency for one in tray.notifier.sent]


def test_killed_and_restarted(sandbox: Sandbox, tmp_path: Path) -> None:
    """A gateway that was killed is offline and told of once; its restart, elsewhere, is found by itself."""
    folder = tmp_path / "state"
    with running_gateway(sandbox, folder, openrouter_background_refresh="false") as first:
        tray = Tray(announced(first))
        assert State.OK is tray.live(120)
    # Its whereabouts are left behind, as by kill -9.
    assert State.OFFLINE is tray.live(600)
    assert ["down"] == tray.notifier.keys()
    assert "The gateway is not running" in tray.shell.title
    assert "$17.58 left of $25.00, as of" in tray.shell.texts()[1]

    with running_gateway(sandbox, folder, openrouter_background_refresh="false") as second:
        announced(second)
        assert State.OK is tray.live(10)
    assert ["down"] == tray.notifier.closed
    assert 1 == len(tray.notifier.sent)


def test_quick_restart(sandbox: Sandbox, tmp_path: Path) -> None:
    """A gateway that is restarted within seconds is not reported."""
    folder = tmp_path / "state"
    with running_gateway(sandbox, folder) as first:
        tray = Tray(announced(first))
        tray.live(61)
    (folder / "gateway.json").unlink()
    assert State.OFFLINE is tray.live(4)
    with running_gateway(sandbox, folder) as second:
        announced(second)
        assert State.OK is tray.live(10)

    assert [] == tray.notifier.sent


def test_wrong_token(gateway: Gateway, tmp_path: Path) -> None:
    """A wrong token is no alarm; the state says a secret is wrong and the menu which, and a good one mends it."""
    announced(gateway)
    tray = Tray(settings(tmp_path / "s"))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "gateway.json").write_text((gateway.folder / "gateway.json").read_text())
    (tmp_path / "s" / "token").write_text("nonsense")

    assert State.NO_KEY is tray.live(HOUR_S)
    assert "The gateway refuses the tray's token" in tray.shell.title
    (tmp_path / "s" / "token").write_text((gateway.folder / "token").read_text())
    assert State.OK is tray.live(60)
    assert [] == tray.notifier.sent


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the figures are stale, with their time, and that is no alarm; its return makes them fresh."""
    monkeypatch.setattr(kept, "_FAILURE_PAUSE_S", 0.0)
    sandbox = Sandbox()
    sandbox.start()
    port = sandbox.port
    with running_gateway(sandbox, tmp_path / "state", openrouter_cache_ttl_credits="1") as gateway:
        tray = Tray(announced(gateway))
        assert State.OK is tray.live(60)
        sandbox.stop()
        assert State.STALE is tray.live(HOUR_S)
        assert "OpenRouter cannot be reached. $17.58 was left at" in tray.shell.title
        assert [] == tray.notifier.sent
        with Sandbox(port=port):
            assert State.OK is tray.live(301)


def test_ten_minutes_of_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that wakes without a network shows what it showed until there was time for one, without a warning."""
    monkeypatch.setattr(kept, "_FAILURE_PAUSE_S", 0.0)
    sandbox = Sandbox()
    sandbox.start()
    port = sandbox.port
    with running_gateway(sandbox, tmp_path / "state", openrouter_cache_ttl_credits="1") as gateway:
        tray = Tray(announced(gateway))
        tray.live(90)
        sandbox.stop()
        tray.clock.sleep(600)

        assert State.OK is tray.live(60)
        with Sandbox(port=port) as again:
            again.account(total_usage=22)
            assert State.LOW is tray.live(30)
        assert ["balance"] == tray.notifier.keys()
    assert 2 == len({title for _, title, _ in tray.shell.shown})


def test_key_taken_away(gateway: Gateway) -> None:
    """A key that OpenRouter refuses is told of once, as critical, and a state of its own."""
    tray = Tray(announced(gateway))
    gateway.sandbox.account(revoked=["cdef"])

    assert State.NO_KEY is tray.live(600)
    assert [("key", "critical")] == [(one.key, one.urgency) for one in tray.notifier.sent]


def test_pause_from_the_menu(gateway: Gateway) -> None:
    """Pausing all programs stops them at the gateway, and icon and menu say so."""
    gateway.services.office.issue("editor")
    tray = Tray(announced(gateway))
    tray.live(60)
    tray.conductor.act("pause")

    assert State.PAUSED is tray.live(61)
    assert 503 == gateway.chat(token=gateway.token("editor")).status_code
    tray.conductor.act("resume")
    assert State.OK is tray.live(61)
    assert 200 == gateway.chat(token=gateway.token("editor")).status_code
