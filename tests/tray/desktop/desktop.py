"""A desktop without a screen: X, a session bus, a panel's watcher and a notification daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tray.desktop.bus import private_bus
from tests.tray.desktop.notices import CAPABILITIES, NoticeBoard
from tests.tray.desktop.panel import Panel
from tests.tray.desktop.watcher import Watcher

APT = "xvfb dbus-daemon python3-gi gir1.2-ayatanaappindicator3-0.1"
DEBIAN = Path("/usr/lib/python3/dist-packages")


def lacking() -> str:
    """What this machine lacks for these tests, in words; empty if they can run."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    if missing := [name for name in ("Xvfb", "dbus-daemon") if shutil.which(name) is None]:
        return f"{' and '.join(missing)} missing; apt-get install {APT}"
    if not list((DEBIAN / "gi").glob(f"_gi.cpython-{version}-*.so")):
        return f"no gi for this Python {version} in {DEBIAN}; apt-get install {APT}"
    if not list(Path("/usr/lib").glob("*/girepository-1.0/AyatanaAppIndicator3-0.1.typelib")):
        return f"no AppIndicator; apt-get install {APT}"
    return ""


@contextmanager
def screen(size: str = "640x480x24") -> Iterator[str]:
    """An X display that nobody sees; its name."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        try:
            # Closed before the newline, the pipe would end Xvfb.
            with os.fdopen(reading) as pipe:
                number = pipe.readline().strip()
            assert number, "Xvfb did not start"
            yield f":{number}"
        finally:
            process.terminate()
            process.wait(10)


@dataclass
class Desktop:
    """A running desktop; `environment` is what a program started on it sees."""

    address: str
    environment: dict[str, str]
    folder: Path
    watcher: Watcher
    panel: Panel
    session: ExitStack
    board: NoticeBoard | None = None

    @property
    def notices(self) -> NoticeBoard:
        """The notification daemon that runs."""
        assert self.board is not None
        return self.board

    def start_notices(self, capabilities: tuple[str, ...] = CAPABILITIES, first: int = 1) -> NoticeBoard:
        """A notification daemon from now on."""
        self.board = NoticeBoard(self.address, capabilities, first)
        return self.board

    def stop_notices(self) -> None:
        """No notification daemon any more."""
        if self.board is not None:
            self.board.close()
            self.board = None

    def restart_panel(self) -> None:
        """The panel ends, and comes back without a memory of the icons that it showed."""
        self.stop_panel()
        self.start_panel()

    def stop_panel(self) -> None:
        """No panel any more."""
        self.watcher.close()

    def start_panel(self) -> None:
        """A panel from now on."""
        self.watcher = Watcher(self.address)
        self.panel = Panel(self.address, self.watcher)

    def end_session(self) -> None:
        """The session bus ends, as at a logout."""
        self.session.close()

    def leftovers(self) -> list[str]:
        """The files that programs left in the folders for temporary ones."""
        return sorted(str(path) for name in ("tmp", "runtime") for path in (self.folder / name).rglob("*"))


@contextmanager
def running_desktop(display: str, folder: Path) -> Iterator[Desktop]:
    """A desktop on this display, with its files in `folder`."""
    for name in ("tmp", "runtime", "home", "python", "bus"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "python" / "gi").symlink_to(DEBIAN / "gi")
    with ExitStack() as session:
        address = session.enter_context(private_bus(folder / "bus"))
        watcher = Watcher(address)
        environment = _environment(display, address, folder)
        desktop = Desktop(address, environment, folder, watcher, Panel(address, watcher), session)
        desktop.start_notices()
        try:
            yield desktop
        finally:
            desktop.stop_notices()
            desktop.stop_panel()


def _environment(display: str, address: str, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("WAYLAND_DISPLAY", "XDG_CURRENT_DESKTOP")}
    return {
        **kept,
        "DISPLAY": display,
        "DBUS_SESSION_BUS_ADDRESS": address,
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "TMPDIR": str(folder / "tmp"),
        "HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "home" / "config"),
        "XDG_STATE_HOME": str(folder / "home" / "state"),
        "PYTHONPATH": str(folder / "python"),
        "NO_AT_BRIDGE": "1",
        "GDK_BACKEND": "x11",
        "PYSTRAY_BACKEND": "appindicator",
    }
