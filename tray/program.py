"""What the program does: the icon in the tray, one look, or a line for every change."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING

from tray import autostart, launcher, told
from tray.autostart import Autostart
from tray.client import Client
from tray.clock import SystemClock
from tray.errors import NoTray
from tray.notebook import Notebook
from tray.poller import Poller
from tray.reading import Reading
from tray.settings import Settings
from tray.state import Snapshot, State, judge

if TYPE_CHECKING:
    from tray.conductor import Conductor


def look_once(settings: Settings, *, as_json: bool) -> None:
    """Print how things stand."""
    clock = SystemClock()
    snapshot = judge(Client(settings, clock.now).look(), None, settings.marks)
    print(_text(snapshot, settings, as_json=as_json, whole=True), flush=True)


def watch(settings: Settings, *, as_json: bool) -> None:
    """Print a line whenever something has changed, until SIGTERM or Ctrl-C."""
    from tray.signals import stopped_by_signals

    clock, stopped = SystemClock(), threading.Event()
    client = Client(settings, clock.now)
    printed: list[str] = []
    known: list[Snapshot] = []

    def take(reading: Reading) -> None:
        snapshot = judge(reading, known[-1] if known else None, settings.marks)
        known[:] = [snapshot]
        text = _text(snapshot, settings, as_json=as_json, whole=False)
        if [text] != printed:
            printed[:] = [text]
            print(text, flush=True)

    poller = Poller(
        look=lambda force: client.look(force=force),
        deliver=take,
        woke=lambda: None,
        hurry_s=lambda: None,
        signature=client.signature,
        clock=clock,
        poll_s=settings.poll_s,
    )
    with stopped_by_signals(stopped.set):
        while not stopped.wait(poller.turn()):
            pass


def show_icon(settings: Settings) -> None:
    """Show the icon until its owner quits it; raises NoTray where there is no tray."""
    if not all(map(importlib.util.find_spec, _packages(sys.platform))):
        raise NoTray("The tray's own packages are not installed.", "Install them with: pip install 'orgate[tray]'")
    from tray.artwork import draw
    from tray.conductor import LINKS, Conductor
    from tray.desk import Desk
    from tray.listener import Listener
    from tray.notify import notifier
    from tray.rows import Row
    from tray.shell import Shell

    clock = SystemClock()
    client = Client(settings, clock.now)
    title = "orgate: asking the gateway"
    shell = Shell("orgate", draw(State.STALE, "", template=sys.platform == "darwin"), title)
    shell.show(shell.image(), title, [Row("Asking the gateway…"), Row("Quit", "quit")])

    def act(action: str) -> None:
        if action == "quit":
            # At once, whatever the poller is waiting for.
            shell.stop()
        else:
            poller.do(lambda: conductor.act(action))

    messages = notifier(act, image=shell.image, links=LINKS, balloon=shell.notify)
    conductor: Conductor = Conductor(
        shell=shell,
        notifier=messages,
        gateway=client,
        launcher=_launcher(settings),
        login=login(settings),
        desk=Desk(os.environ),
        notebook=Notebook(settings.state),
        clock=clock,
        marks=settings.marks,
        refresh=lambda force: poller.refresh(force=force),
        on_well=lambda: listener.nudge(),
    )
    poller = Poller(
        look=conductor.look,
        deliver=conductor.take,
        woke=conductor.woke,
        hurry_s=conductor.hurry_s,
        signature=client.signature,
        clock=clock,
        poll_s=settings.poll_s,
    )
    listener = Listener(
        place=client.place,
        since=lambda: conductor.last_notice,
        heard=lambda notice: poller.do(lambda: conductor.hear(notice)),
        changed=poller.refresh,
    )

    def ready() -> None:
        poller.start()
        listener.start()

    try:
        shell.run(ready, act)
    finally:
        listener.stop()
        poller.stop()
        messages.stop()


def _packages(platform: str) -> tuple[str, ...]:
    return ("PIL", "pystray") if platform in ("win32", "darwin") else ("PIL", "pystray", "jeepney")


def login(settings: Settings) -> Autostart:
    """Starting this tray at login: in the way that is in use, else in the one that suits the system."""
    ways = logins(settings)
    return next((way for way in ways if way.is_enabled()), ways[0])


def logins(settings: Settings) -> list[Autostart]:
    """All ways of starting this tray at login that the system has, the one that suits it best first."""
    options = ["--state-dir", str(settings.state)] if settings.state_given else []
    options += ["--url", settings.url] if settings.url else []
    command = autostart.command(sys.executable, options)
    return [Autostart(kind, command, os.environ) for kind in autostart.kinds_of(sys.platform)]


def _launcher(settings: Settings) -> launcher.Launcher:
    # A gateway at an address of its own is not this machine's to start.
    orgate = launcher.command() if settings.url is None else None
    options = ["--state-dir", str(settings.state)] if settings.state_given else []
    return launcher.Launcher(orgate, settings.state, options)


def _text(snapshot: Snapshot, settings: Settings, *, as_json: bool, whole: bool) -> str:
    now, hidden = datetime.now().astimezone(), Notebook(settings.state).read().hide_amounts
    if as_json:
        return json.dumps(told.as_json(snapshot, now, hidden=hidden), ensure_ascii=False)
    if whole:
        return "\n".join(told.as_lines(snapshot, now, hidden=hidden))
    return told.as_line(snapshot, now, hidden=hidden)
