from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.sandbox import Sandbox
from tests.gateway import KEY
from tests.lab.client.lab import comes_true
from tests.tray.places import settings
from tray.client import Client
from tray.launcher import LOG, Launcher, command

PATIENCE_S = 30.0


@pytest.fixture
def _environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gateway finds that is started here."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", sandbox.url)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    monkeypatch.setenv("ORGATE_PORT", "0")


@contextmanager
def launching(folder: Path) -> Iterator[Launcher]:
    """A launcher whose gateway does not outlive the test."""
    launcher = Launcher(command(), folder, ["--state-dir", str(folder)])
    try:
        yield launcher
    finally:
        launcher.stop()
        assert comes_true(lambda: not launcher.runs, PATIENCE_S)


@pytest.mark.usefixtures("_environment")
def test_start_and_stop(tmp_path: Path) -> None:
    """What is started is the real gateway, in a session of its own and with a log; it is ended properly."""
    folder = tmp_path / "state"
    with launching(folder) as launcher:
        assert launcher.can_start
        launcher.start()
        assert not launcher.can_start
        client = Client(settings(folder), time.time)
        assert comes_true(lambda: client.look().trouble is None, PATIENCE_S)
        pid = json.loads((folder / "gateway.json").read_text())["pid"]
        assert os.getsid(pid) != os.getsid(0)
        launcher.start()
        launcher.stop()
        assert comes_true(lambda: not launcher.runs, PATIENCE_S)

    assert launcher.why_ended() is None
    assert not (folder / "gateway.json").exists()
    assert 0o600 == (folder / LOG).stat().st_mode & 0o777
    assert 1 == (folder / LOG).read_text().count("gateway.ready")


def test_why_it_ended(tmp_path: Path) -> None:
    """A gateway that cannot start leaves its reason, which is told once."""
    with launching(tmp_path / "state") as launcher:
        launcher.start()
        assert comes_true(lambda: not launcher.runs, PATIENCE_S)
        why = launcher.why_ended()

    assert why is not None
    assert "orgate demo" in why
    assert launcher.why_ended() is None


def test_only_its_own(tmp_path: Path) -> None:
    """What the launcher has not started it does not end."""
    launcher = Launcher(None, tmp_path)
    launcher.start()
    launcher.stop()

    assert (False, False) == (launcher.can_start, launcher.runs)


def test_killed_is_no_error_of_its_own(tmp_path: Path) -> None:
    """A gateway that somebody killed has no last words to show."""
    sleeper = tmp_path / "sleeper"
    sleeper.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    sleeper.chmod(0o700)
    launcher = Launcher([str(sleeper)], tmp_path)
    launcher.start()
    assert launcher._process is not None
    os.kill(launcher._process.pid, signal.SIGKILL)
    assert comes_true(lambda: not launcher.runs, PATIENCE_S)

    assert launcher.why_ended() is None
