"""Starting at login, as each system has it; `render` only writes texts, `Autostart` puts them where they belong."""

from __future__ import annotations

import plistlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath


class Kind(StrEnum):
    """A way of starting a program at login."""

    XDG = "xdg"
    """A desktop file, for every Linux desktop."""
    SYSTEMD = "systemd"
    """A systemd user unit, which also starts the tray again when it crashed."""
    LAUNCHD = "launchd"
    """A macOS launch agent."""
    RUN_KEY = "run-key"
    """A value of the Windows registry."""


RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"
"""Below HKEY_CURRENT_USER."""

RUN_VALUE = "orgate-tray"
_LABEL = "dev.orgate.tray"
_ABOUT = "What is left at OpenRouter, and a warning in time"


def kinds_of(platform: str) -> tuple[Kind, ...]:
    """The ways that a system has, by its name in `sys.platform`, the one that suits it best first."""
    return {"win32": (Kind.RUN_KEY,), "darwin": (Kind.LAUNCHD,)}.get(platform, (Kind.XDG, Kind.SYSTEMD))


def command(executable: str, options: Sequence[str] = ()) -> list[str]:
    """How to run the tray that belongs to this Python; on Windows without a console."""
    python = Path(executable)
    script, silent = python.with_name("orgate-tray"), python.with_name("pythonw.exe")
    if script.is_file():
        return [str(script), *options]
    # -P: no folder named tray where the login happens to start is taken for it.
    return [str(silent if silent.is_file() else python), "-P", "-m", "tray", *options]


def render(kind: Kind, command: Sequence[str]) -> tuple[str, str]:
    """
    The place and the text that start a command at login.

    The place of XDG and SYSTEMD is below the configuration folder, that of LAUNCHD below the home folder; that of
    RUN_KEY is a registry key below HKEY_CURRENT_USER and its value.
    """
    match kind:
        case Kind.XDG:
            return "autostart/orgate-tray.desktop", _desktop_file(command)
        case Kind.SYSTEMD:
            return "systemd/user/orgate-tray.service", _unit(command)
        case Kind.LAUNCHD:
            return f"Library/LaunchAgents/{_LABEL}.plist", _plist(command)
        case Kind.RUN_KEY:
            return rf"{RUN_KEY}\{RUN_VALUE}", subprocess.list2cmdline(command)


class Autostart:
    """Has a command started at login, or no longer; raises OSError where that cannot be."""

    def __init__(self, kind: Kind, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.kind = kind
        self._place, self._text = render(kind, command)
        home = Path(environment.get("HOME") or Path.home())
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        self._file = (home if kind is Kind.LAUNCHD else config) / PurePosixPath(self._place)
        self._wants = config / "systemd/user/graphical-session.target.wants/orgate-tray.service"

    @property
    def place(self) -> str:
        """Where it is written down, for people."""
        return rf"HKCU\{self._place}" if self.kind is Kind.RUN_KEY else str(self._file)

    def is_enabled(self) -> bool:
        """Whether it is started at login, as far as can be seen."""
        match self.kind:
            case Kind.RUN_KEY:
                return _run_value() is not None
            case Kind.SYSTEMD:
                return self._file.is_file() and self._wants.is_symlink()
            case Kind.XDG:
                # Desktops write this into it where their own settings switch it off.
                return not {"Hidden=true", "X-GNOME-Autostart-enabled=false"} & set(_lines(self._file))
            case Kind.LAUNCHD:
                return self._file.is_file()

    def enable(self) -> None:
        """Have it started at every login from the next one on."""
        if self.kind is Kind.RUN_KEY:
            _set_run_value(self._text)
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._text, "utf-8")
        if self.kind is Kind.SYSTEMD:
            self._wants.parent.mkdir(parents=True, exist_ok=True)
            self._wants.unlink(missing_ok=True)
            self._wants.symlink_to(self._file)

    def disable(self) -> None:
        """Have it started no longer; nothing happens if it was not."""
        if self.kind is Kind.RUN_KEY:
            _set_run_value(None)
            return
        if self.kind is Kind.SYSTEMD:
            self._wants.unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)


def _desktop_file(command: Sequence[str]) -> str:
    return "\n".join(
        [
            "[Desktop Entry]",
            "Type=Application",
            "Name=orgate",
            f"Comment={_ABOUT}",
            f"Exec={' '.join(map(_desktop_word, command))}",
            "Terminal=false",
            "Categories=Utility;",
            "X-GNOME-Autostart-enabled=true",
            "",
        ]
    )


def _desktop_word(word: str) -> str:
    """One argument, quoted by the Desktop Entry Specification: first as an argument, then as a string."""
    for special in ("\\", '"', "`", "$"):
        word = word.replace(special, f"\\{special}")
    return f'"{word}"'.replace("\\", "\\\\").replace("%", "%%")


def _unit(command: Sequence[str]) -> str:
    return "\n".join(
        [
            "[Unit]",
            f"Description=orgate: {_ABOUT[0].lower()}{_ABOUT[1:]}",
            "PartOf=graphical-session.target",
            "After=graphical-session.target",
            "",
            "[Service]",
            f"ExecStart={' '.join(map(_unit_word, command))}",
            "Restart=on-failure",
            "RestartSec=5",
            # A setting that cannot be used, and a tray that runs already, are not mended by another try.
            "RestartPreventExitStatus=2 4",
            "",
            "[Install]",
            "WantedBy=graphical-session.target",
            "",
        ]
    )


def _unit_word(word: str) -> str:
    """One argument, quoted as systemd.service(5) has it."""
    for special, safe in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, safe)
    return f'"{word}"'


def _plist(command: Sequence[str]) -> str:
    told = {
        "Label": _LABEL,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "LimitLoadToSessionType": "Aqua",
        "ProcessType": "Interactive",
    }
    return plistlib.dumps(told).decode()


def _lines(file: Path) -> list[str]:
    """The file's lines; what is not there counts as switched off."""
    try:
        return file.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return ["Hidden=true"]


if sys.platform == "win32":
    import winreg

    def _run_value() -> str | None:
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY) as key:
                return str(winreg.QueryValueEx(key, RUN_VALUE)[0])
        except FileNotFoundError:
            return None

    def _set_run_value(text: str | None) -> None:
        with winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, RUN_KEY, 0, winreg.KEY_SET_VALUE) as key:
            if text is not None:
                winreg.SetValueEx(key, RUN_VALUE, 0, winreg.REG_SZ, text)
                return
            try:
                winreg.DeleteValue(key, RUN_VALUE)
            except FileNotFoundError:
                return
else:

    def _run_value() -> str | None:
        raise OSError("Only Windows has a registry.")

    def _set_run_value(text: str | None) -> None:
        raise OSError("Only Windows has a registry.")
