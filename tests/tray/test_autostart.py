from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tray.autostart import RUN_KEY, Autostart, Kind, command, kinds_of, render

ODD = ["/opt/my tools/orgate-tray", "--state-dir", '/home/a "b" $c %d `e` \\f']


def test_desktop_file() -> None:
    """The desktop file quotes each argument by the Desktop Entry Specification."""
    place, text = render(Kind.XDG, ODD)

    assert "autostart/orgate-tray.desktop" == place
    assert r'''Exec="/opt/my tools/orgate-tray" "--state-dir" "/home/a \\"b\\" \\$c %%d \\`e\\` \\\\f"''' in text
    assert text.startswith("[Desktop Entry]\nType=Application\n")


def test_unit() -> None:
    """The systemd unit quotes each argument as systemd.service(5) has it and follows the desktop's session."""
    place, text = render(Kind.SYSTEMD, ODD)

    assert "systemd/user/orgate-tray.service" == place
    assert r'''ExecStart="/opt/my tools/orgate-tray" "--state-dir" "/home/a \"b\" $$c %%d `e` \\f"''' in text
    assert "WantedBy=graphical-session.target" in text
    assert "RestartPreventExitStatus=2 4" in text


def test_plist() -> None:
    """The launch agent runs the command in the owner's graphical session at login."""
    place, text = render(Kind.LAUNCHD, ODD)
    told = plistlib.loads(text.encode())

    assert "Library/LaunchAgents/dev.orgate.tray.plist" == place
    assert (ODD, True, "Aqua") == (told["ProgramArguments"], told["RunAtLoad"], told["LimitLoadToSessionType"])


def test_run_key() -> None:
    """The registry value is one command line, quoted as Windows programs split it."""
    place, text = render(Kind.RUN_KEY, [r"C:\My Tools\pythonw.exe", "-m", "tray"])

    assert rf"{RUN_KEY}\orgate-tray" == place
    assert r'"C:\My Tools\pythonw.exe" -m tray' == text


def test_kind() -> None:
    """Each system has its own way."""
    assert [Kind.XDG, Kind.LAUNCHD, Kind.RUN_KEY] == [kinds_of(name)[0] for name in ("linux", "darwin", "win32")]


def test_command(tmp_path: Path) -> None:
    """The installed command is preferred; on Windows it is Python without a console, never a folder named tray."""
    (tmp_path / "pythonw.exe").touch()
    assert [str(tmp_path / "pythonw.exe"), "-P", "-m", "tray", "--x"] == command(str(tmp_path / "python.exe"), ["--x"])
    (tmp_path / "orgate-tray").touch()
    assert [str(tmp_path / "orgate-tray")] == command(str(tmp_path / "python"))


@pytest.mark.parametrize("kind", [Kind.XDG, Kind.SYSTEMD, Kind.LAUNCHD])
def test_enable_and_disable(tmp_path: Path, kind: Kind) -> None:
    """What was enabled can be seen and disabled again, and nothing is left behind; both may be done twice."""
    environment = {"HOME": str(tmp_path / "h"), "XDG_CONFIG_HOME": str(tmp_path / "h/c")}
    login = Autostart(kind, ODD, environment)
    assert not login.is_enabled()

    login.enable()
    login.enable()
    assert login.is_enabled()
    assert Path(login.place).read_text() == render(kind, ODD)[1]

    login.disable()
    login.disable()
    assert not login.is_enabled()
    assert [] == [path for path in (tmp_path / "h").rglob("*") if not path.is_dir()]


def test_switched_off_by_the_desktop(tmp_path: Path) -> None:
    """A desktop that switched it off in its own settings is believed."""
    login = Autostart(Kind.XDG, ODD, {"HOME": str(tmp_path)})
    login.enable()
    file = Path(login.place)
    file.write_text(file.read_text().replace("enabled=true", "enabled=false"))

    assert not login.is_enabled()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the unit."""
    unit = tmp_path / "orgate-tray.service"
    unit.write_text(render(Kind.SYSTEMD, [sys.executable, "-c", "pass"])[1])

    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert unit.name not in done.stderr
