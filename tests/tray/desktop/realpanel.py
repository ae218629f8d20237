"""A desktop as people have it: xfce4-panel and a notification daemon on a screen that can be looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageGrab
from Xlib.display import Display

from tests.tray.desktop.bus import private_bus
from tests.tray.desktop.desktop import DEBIAN, screen
from tests.waiting import eventually

APT = "xfce4-panel xfce4-notifyd dunst xdotool fonts-dejavu-core adwaita-icon-theme"

SIZE = (900, 700)
_HEIGHT, _ICON = 40, 24
_PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="{height}"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/><value type="int" value="2"/><value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/><property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="icon-size" type="int" value="{icon}"/>
    </property>
    <property name="plugin-3" type="string" value="clock">
      <property name="digital-time-font" type="string" value="DejaVu Sans 11"/>
      <property name="digital-layout" type="uint" value="3"/>
    </property>
  </property>
</channel>
"""
_NOTIFYD_CHANNEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-notifyd" version="1.0">
  <property name="notify-location" type="uint" value="3"/>
  <property name="initial-opacity" type="double" value="1"/>
  <property name="do-fadeout" type="bool" value="false"/>
</channel>
"""
_DUNST = """[global]
origin = top-right
offset = 16x56
width = 420
height = 200
font = DejaVu Sans 11
format = "<b>%s</b>\\n%b"
frame_width = 1
frame_color = "#4c566a"
corner_radius = 6
padding = 12
horizontal_padding = 12
max_icon_size = 48
show_indicators = no
background = "#2e3440"
foreground = "#eceff4"
[urgency_critical]
background = "#2e3440"
foreground = "#eceff4"
frame_color = "#d55e00"
"""


_NOTIFYD = next(Path("/usr/lib").glob("*/xfce4/notifyd/xfce4-notifyd"), Path("/nonexistent"))


def lacking() -> str:
    """What this machine lacks for a real panel, in words; empty if nothing."""
    missing = [name for name in ("xfce4-panel", "dunst", "xdotool", str(_NOTIFYD)) if shutil.which(name) is None]
    return f"{', '.join(missing)} missing; apt-get install {APT}" if missing else ""


@dataclass
class RealPanel:
    """The screen; `environment` is what a program started on it sees."""

    environment: dict[str, str]
    display: str

    def shot(self) -> Image.Image:
        """The whole screen."""
        return ImageGrab.grab(xdisplay=self.display).convert("RGB")

    def point(self, x: int, y: int, click: int = 0) -> None:
        """Move the mouse, and press one of its buttons."""
        command = ["xdotool", "mousemove", str(x), str(y), *(["click", str(click)] if click else [])]
        subprocess.run(command, env=self.environment, check=True, timeout=10)

    def key(self, name: str) -> None:
        """Press a key."""
        subprocess.run(["xdotool", "key", name], env=self.environment, check=True, timeout=10)

    def ask(self, *command: str) -> str:
        """What a program on this desktop prints."""
        done = subprocess.run(command, env=self.environment, check=True, timeout=10, capture_output=True, text=True)
        return done.stdout

    def settled(self) -> Image.Image:
        """The screen once it is the same twice."""
        before = self.shot()
        while True:
            time.sleep(0.3)
            after = self.shot()
            if changed(before, after) is None:
                return after
            before = after


def changed(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int] | None:
    """The smallest box in which two pictures differ."""
    return ImageChops.difference(before, after).getbbox()


@contextmanager
def real_panel(folder: Path, *, dark: bool = True, dunst: bool = False) -> Iterator[RealPanel]:
    """A panel, dark or light, and a notification daemon: dunst, or else Xfce's, which shows buttons."""
    for name in ("tmp", "runtime", "home", "python", "bus"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "python" / "gi").symlink_to(DEBIAN / "gi")
    config = folder / "home" / ".config"
    channels = config / "xfce4" / "xfconf" / "xfce-perchannel-xml"
    channels.mkdir(parents=True)
    (channels / "xfce4-panel.xml").write_text(_PANEL.format(height=_HEIGHT, icon=_ICON, dark=str(dark).lower()))
    (channels / "xfce4-notifyd.xml").write_text(_NOTIFYD_CHANNEL)
    (config / "dunstrc").write_text(_DUNST)
    with ExitStack() as stack:
        display = stack.enter_context(screen(f"{SIZE[0]}x{SIZE[1]}x24"))
        environment = {
            **{name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"},
            "DISPLAY": display,
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(config),
            "PYTHONPATH": str(folder / "python"),
            "NO_AT_BRIDGE": "1",
            "GDK_BACKEND": "x11",
        }
        bus = stack.enter_context(private_bus(folder / "bus", services=True, environment=environment))
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus
        _paint(display, 0x5E81AC)
        panel = RealPanel(environment, display)
        empty = panel.shot()
        daemon = ["dunst", "-conf", str(config / "dunstrc")] if dunst else [str(_NOTIFYD)]
        for command in (daemon, ["xfce4-panel", "--disable-wm-check"]):
            stack.enter_context(_running(command, environment))
        eventually(lambda: changed(empty, panel.shot()))
        yield panel


@contextmanager
def _running(command: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


def _paint(name: str, colour: int) -> None:
    display = Display(name)
    root = display.screen().root
    root.change_attributes(background_pixel=colour)
    root.clear_area()
    display.sync()
    display.close()
