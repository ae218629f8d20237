"""What is said where no tray icon can be shown; the desktop tests see it raised."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tray import surroundings
from tray.surroundings import hidden_icons, install_line, missing_parts, session_bus


def test_the_bus_is_the_one_that_was_named() -> None:
    """A named address goes before the usual place."""
    assert "unix:path=/a" == session_bus({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a", "XDG_RUNTIME_DIR": "/run"})


def test_the_bus_is_found_in_its_usual_place(tmp_path: Path) -> None:
    """A socket in the runtime folder; a plain file there is none."""
    (tmp_path / "bus").touch()
    assert "" == session_bus({"XDG_RUNTIME_DIR": str(tmp_path)})

    (tmp_path / "bus").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "bus"))
        assert f"unix:path={tmp_path}/bus" == session_bus({"XDG_RUNTIME_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    ("ids", "word"),
    [
        ({"debian"}, "apt install"),
        ({"ubuntu", "debian"}, "apt install"),
        ({"fedora"}, "dnf install"),
        ({"manjaro", "arch"}, "pacman -S"),
        ({"opensuse-tumbleweed", "opensuse", "suse"}, "zypper install"),
        ({"nixos"}, "PyGObject"),
        (set(), "PyGObject"),
    ],
)
def test_the_fix_is_the_systems_own(ids: set[str], word: str) -> None:
    """One command to copy where the system is known, the parts' names where it is not."""
    assert word in install_line(frozenset(ids))


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_elsewhere_the_fix_is_pip(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody on Windows is told of GTK."""
    monkeypatch.setattr(surroundings, "SYSTEM", system)

    error = missing_parts("ImportError: no AppKit")

    assert "no AppKit" in error.reason
    assert "pip install" in error.fix
    assert "GTK" not in str(error)


def test_only_gnome_is_told_of_its_extension() -> None:
    """Without a bus to ask nothing is claimed."""
    assert "" == hidden_icons({"XDG_CURRENT_DESKTOP": "XFCE"})
    assert "" == hidden_icons({})
    assert "" == hidden_icons({"XDG_CURRENT_DESKTOP": "ubuntu:GNOME", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/none"})
