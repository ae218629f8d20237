from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.gateway import Gateway
from tests.tray.places import announced, free_port
from tray.autostart import Kind
from tray.files import only_one
from tray.program import login, logins
from tray.settings import load

TRAY = str(Path(sys.executable).with_name("orgate-tray"))


def tray(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without a desktop."""
    return subprocess.run(
        [TRAY, *arguments], capture_output=True, text=True, timeout=60, env=bare(**environment), check=False
    )


def bare(**more: str) -> dict[str, str]:
    """An environment without a desktop."""
    kept = {name: value for name, value in os.environ.items() if "DISPLAY" not in name and "DBUS" not in name}
    return {**kept, **more}


@contextmanager
def running(*arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """The command while it goes on."""
    process = subprocess.Popen([TRAY, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, env=bare())
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def line(stream: IO[str] | None) -> str:
    """The next line of its output."""
    assert stream is not None
    return stream.readline()


def test_json(gateway: Gateway) -> None:
    """--json tells everything in one line: state, amount, sentence, title, rows, and what Waybar reads."""
    gateway.chat(token=gateway.token("editor"))
    settings = announced(gateway)

    done = tray("--json", "--state-dir", str(settings.state))
    told = json.loads(done.stdout)

    assert (0, "") == (done.returncode, done.stderr)
    assert 1 == done.stdout.count("\n")
    assert ("ok", 17.579794) == (told["state"], told["remaining_credits"])
    assert ("$17.58 is left at OpenRouter.", "17") == (told["sentence"], told["badge"])
    assert ("$17.58", "ok", told["title"]) == (told["text"], told["class"], told["tooltip"])
    assert {"$17.58 left of $25.00", "Spent by program today", "  ▰▰▰▰▰▰▰▰ editor  <$0.01"} <= set(told["rows"])
    assert gateway.base_url == told["base_url"]


def test_json_without_gateway(tmp_path: Path) -> None:
    """Without a gateway --json tells that, and what is not known is null."""
    told = json.loads(tray("--json", "--once", "--state-dir", str(tmp_path)).stdout)

    assert ("offline", "down", None) == (told["state"], told["trouble"], told["remaining_credits"])
    assert "The gateway is not running. Start it with: orgate serve" == told["sentence"]


def test_once(gateway: Gateway) -> None:
    """--once prints how things stand in a few lines."""
    token = gateway.token("orgate", own=True)

    done = tray("--once", "--url", gateway.base_url, ORGATE_TOKEN=token)

    assert ["$17.58 is left at OpenRouter.", "  $17.58 left of $25.00"] == done.stdout.splitlines()[:2]


def test_no_token(gateway: Gateway, tmp_path: Path) -> None:
    """Without a token the sentence says where to put one."""
    done = tray("--once", "--url", gateway.base_url, "--state-dir", str(tmp_path))

    assert "The tray has no token for the gateway. Put one into ORGATE_TOKEN" in done.stdout


def test_light(tmp_path: Path) -> None:
    """Neither pystray nor Pillow nor the gateway is loaded for a look."""
    script = (
        "import sys; from tray.__main__ import main; main(['--json', '--state-dir', sys.argv[1]]);"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'PIL', 'pystray', 'app', 'flask', 'gi'}))"
    )

    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.splitlines()[-1]


def test_watch(gateway: Gateway) -> None:
    """--watch prints a line when something changes, and ends cleanly on SIGTERM."""
    settings = announced(gateway)
    with running("--watch", "--poll", "1", "--state-dir", str(settings.state)) as process:
        first = line(process.stdout)
        gateway.services.pauses.pause("*")
        second = line(process.stdout)
        process.send_signal(signal.SIGTERM)
        code = process.wait(10)

    assert first.startswith("ok       $17.58 is left at OpenRouter")
    assert second.startswith("paused   All programs are paused. $17.58 is left at OpenRouter")
    assert 0 == code


def test_watch_json_into_a_closed_pipe(gateway: Gateway) -> None:
    """When its reader goes the watch ends, quietly."""
    settings = announced(gateway)
    with running("--watch", "--json", "--poll", "1", "--state-dir", str(settings.state)) as process:
        assert "ok" == json.loads(line(process.stdout))["state"]
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        gateway.services.pauses.pause("*")
        assert 0 == process.wait(20)
        assert process.stderr is not None
        assert "" == process.stderr.read()


def test_no_tray(tmp_path: Path) -> None:
    """Without a desktop the reason and the fix are told, and the exit code is 1."""
    done = tray("--state-dir", str(tmp_path))

    assert 1 == done.returncode
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in done.stderr
    assert "orgate-tray --watch" in done.stderr


def test_no_tray_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal it goes on with a line for every change instead."""
    ours, theirs = pty.openpty()
    with running("--state-dir", str(tmp_path), stdout=theirs) as process:
        os.close(theirs)
        shown = os.read(ours, 1000).decode()
        process.send_signal(signal.SIGINT)
        code = process.wait(10)
        told = process.stderr.read() if process.stderr else ""
    os.close(ours)

    assert "offline  The gateway is not running" in shown
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in told
    assert 0 == code


def test_second_tray(tmp_path: Path) -> None:
    """A second tray on the same state folder ends with a sentence that names the first."""
    with only_one(tmp_path):
        done = tray("--state-dir", str(tmp_path))

    assert 4 == done.returncode
    assert f"The tray already runs on the state folder {tmp_path} (pid {os.getpid()})" in done.stderr


def test_autostart(tmp_path: Path) -> None:
    """Starting at login is switched on and off, with the arguments that were given."""
    home = tmp_path / "home"
    on = tray("--enable-autostart", "--state-dir", str(tmp_path / "my state"), HOME=str(home), XDG_CONFIG_HOME="")
    file = home / ".config/autostart/orgate-tray.desktop"
    text = file.read_text()
    off = tray("--disable-autostart", HOME=str(home), XDG_CONFIG_HOME="")

    assert f"The tray starts at login from now on: {file}\n" == on.stdout
    command, option, folder = shlex.split(next(line for line in text.splitlines() if line.startswith("Exec="))[5:])
    assert Path(TRAY).samefile(command)
    assert ("--state-dir", str(tmp_path / "my state")) == (option, folder)
    assert 0 == off.returncode
    assert not file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="two ways of starting at login")
def test_one_autostart_at_a_time(tmp_path: Path) -> None:
    """Of the two ways that Linux has only the one that was asked for last stands, so that not two trays start."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""}
    left = []
    for kind in ("systemd", "xdg", "systemd"):
        assert 0 == tray("--enable-autostart", kind, **home).returncode
        left.append(sorted(path.name for path in (tmp_path / ".config").rglob("orgate-tray*") if path.is_file()))

    assert ["orgate-tray.service"] * 2 == left[0] == left[2]
    assert ["orgate-tray.desktop"] == left[1]


@pytest.mark.skipif(sys.platform != "linux", reason="two ways of starting at login")
def test_the_menu_knows_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a systemd unit starts the tray, that is what "Start at login" shows and switches off."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    found = load({}, {})
    assert Kind.XDG is login(found).kind

    logins(found)[1].enable()

    assert (Kind.SYSTEMD, True) == (login(found).kind, login(found).is_enabled())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "ftp://x"),
        ("--poll", "soon"),
        ("--nonsense",),
        ("--enable-autostart", "xdg" if sys.platform in ("win32", "darwin") else "run-key"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """Wrong usage ends with code 2 and a message that names what is wrong."""
    done = tray("--once", *arguments)

    assert 2 == done.returncode
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_help() -> None:
    """--help shows examples and the exit codes."""
    done = tray("--help")

    assert "orgate-tray --watch --json" in done.stdout
    assert "exit codes:" in done.stdout


def test_token_is_never_printed(gateway: Gateway) -> None:
    """Nothing that is printed holds the token."""
    token = gateway.token("orgate", own=True)

    said = [
        tray("--json", "--url", url, ORGATE_TOKEN=token)
        for url in (gateway.base_url, f"http://127.0.0.1:{free_port()}", gateway.sandbox.origin)
    ]

    assert not any(token in one.stdout + one.stderr for one in said)
