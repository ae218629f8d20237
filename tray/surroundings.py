"""What a tray icon needs from the desktop around it, asked before pystray hangs or crashes on what is missing."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from tray.errors import NoTray

SYSTEM: str = sys.platform
"""As Python names it: "win32", "darwin", and anything else for a Unix desktop."""

_PACKAGES = {
    "debian": "sudo apt install python3-gi gir1.2-gtk-3.0 gir1.2-ayatanaappindicator3-0.1",
    "fedora": "sudo dnf install python3-gobject gtk3 libayatana-appindicator-gtk3",
    "arch": "sudo pacman -S python-gobject gtk3 libayatana-appindicator",
    "suse": "sudo zypper install python3-gobject-Gdk typelib-1_0-Gtk-3_0 typelib-1_0-AyatanaAppIndicator3-0_1",
}
_TERMINAL = "In a terminal: orgate-tray --watch."


def session_bus(environment: Mapping[str, str]) -> str:
    """The address of the user's session bus; empty if there is none to be found."""
    if address := environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    socket = Path(environment.get("XDG_RUNTIME_DIR") or "/nonexistent", "bus")
    return f"unix:path={socket}" if socket.is_socket() else ""


def require_desktop(environment: Mapping[str, str]) -> None:
    """Return if a tray icon can be shown on a Unix desktop; else raise NoTray, at once."""
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise NoTray("There is no desktop here: neither DISPLAY nor WAYLAND_DISPLAY is set.", _TERMINAL)
    address = session_bus(environment)
    if not address or not _answers(address):
        raise NoTray(
            "The desktop's session bus does not answer (DBUS_SESSION_BUS_ADDRESS), and tray icons go over it.",
            f"Start orgate-tray from a desktop session, or with: dbus-run-session -- orgate-tray. {_TERMINAL}",
        )


def missing_parts(why: str = "") -> NoTray:
    """What to say when pystray cannot be loaded, or only with a back end whose menu does not work."""
    why = f" ({why})" if why else ""
    if SYSTEM in ("win32", "darwin"):
        return NoTray(f"The tray library does not load{why}.", "Install it anew: pip install --upgrade 'orgate[tray]'")
    return NoTray(
        f"This Python has no GTK with AppIndicator, and without it a tray icon has no menu{why}.",
        f"{install_line(_system_ids())}. Then make the environment that orgate is installed in with the system's own "
        f"Python, so that it sees them: /usr/bin/python3 -m venv --system-site-packages. {_TERMINAL}",
    )


def install_line(ids: frozenset[str]) -> str:
    """The command that installs what the tray needs on a system known by these names from its os-release."""
    for name, line in _PACKAGES.items():
        if any(name in one for one in ids):
            return line
    return "Install PyGObject, GTK 3 and the Ayatana AppIndicator library with their introspection files"


def hidden_icons(environment: Mapping[str, str]) -> str:
    """What to tell the owner of a GNOME desktop that shows no tray icons; empty where that is not so."""
    if "GNOME" not in environment.get("XDG_CURRENT_DESKTOP", "").upper().split(":"):
        return ""
    if _bus_knows(session_bus(environment), "org.kde.StatusNotifierWatcher"):
        return ""
    return (
        "GNOME shows tray icons only with its extension AppIndicator and KStatusNotifierItem Support: "
        "https://extensions.gnome.org/extension/615/appindicator-support/"
    )


def _system_ids() -> frozenset[str]:
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return frozenset()
    return frozenset(f"{facts.get('ID', '')} {facts.get('ID_LIKE', '')}".split())


def _answers(address: str) -> bool:
    # Only Unix desktops have the library; the rest of this module is for all of them.
    from jeepney.io.blocking import open_dbus_connection

    try:
        open_dbus_connection(address, auth_timeout=1.0).close()
    except RuntimeError:
        return True  # neither a path nor an abstract name: only GLib can tell
    except (OSError, ValueError, KeyError):
        return False
    return True


def _bus_knows(address: str, name: str) -> bool:
    from jeepney.bus_messages import message_bus
    from jeepney.io.blocking import Proxy, open_dbus_connection

    try:
        with open_dbus_connection(address, auth_timeout=1.0) as connection:
            (known,) = Proxy(message_bus, connection, timeout=1.0).NameHasOwner(name)
    except (OSError, RuntimeError):
        return True  # no reason to alarm anybody
    return bool(known)
