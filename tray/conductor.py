"""Brings it all together: what was seen becomes icon, title, rows and warnings; what was chosen is done."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from tray import warnings, words
from tray.artwork import draw
from tray.client import Failed
from tray.clock import Clock
from tray.figures import EVERYBODY, Notice
from tray.notebook import Notes
from tray.reading import Reading, Trouble
from tray.rows import Choices, Row, rows
from tray.state import Snapshot, State, judge
from tray.warnings import Decision, Message, Past

if TYPE_CHECKING:
    from PIL import Image

_log = logging.getLogger("orgate.tray")

CREDITS_PAGE = "https://openrouter.ai/settings/credits"
KEYS_PAGE = "https://openrouter.ai/settings/keys"
ACTIVITY_PAGE = "https://openrouter.ai/activity"
"""Shown where the gateway has no page of its own."""

LINKS = {"top_up": CREDITS_PAGE, "keys": KEYS_PAGE}
"""The actions that open a page, for messages that have no buttons."""

_WAKING_S = 90.0
"""After sleep, what fails is given so long to come back before anything is said of it."""

_WAKING_POLL_S = 5.0
_TOP_UP_POLL_S, _TOP_UP_S = 20.0, 1800.0
_CHANGING_POLL_S, _CHANGING_S = 1.0, 20.0
"""So often, and for so long, it is looked whether the gateway has started or ended as it was told to."""

_SECRET_POLL_S = 30.0
_PROBLEM_S = 24 * 3600.0
_GONE = (Trouble.DOWN, Trouble.SILENT, Trouble.FOREIGN)
_SHOWN_ELSEWHERE = ("credits.low", "credits.purchased", "key.low")


class ShellPort(Protocol):
    """Where icon, title and rows are shown."""

    def show(self, image: Image.Image, title: str, rows: Sequence[Row]) -> None:
        """Show this from now on."""

    def stop(self) -> None:
        """Take the icon away and end."""


class NotifierPort(Protocol):
    """Where messages are shown."""

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = "normal"
    ) -> None:
        """Show a message in place of the one with the same key."""

    def close(self, key: str) -> None:
        """Take a message away."""


class GatewayPort(Protocol):
    """What can be asked of the gateway; all of it may raise Failed."""

    def look(self, *, force: bool = False) -> Reading:
        """How it is; troubles are part of the answer."""
        ...

    def pause(self, app: str = EVERYBODY) -> int:
        """Stop a program, or all."""
        ...

    def resume(self, app: str = EVERYBODY) -> None:
        """Let it, or all, go on."""

    def end(self, app: str = EVERYBODY) -> int:
        """End running calls; how many those were."""
        ...

    def has_page(self) -> bool:
        """Whether it shows a page to people."""
        ...


class LauncherPort(Protocol):
    """Starting and stopping the gateway."""

    @property
    def can_start(self) -> bool:
        """One could be started."""
        ...

    @property
    def runs(self) -> bool:
        """The one that was started runs."""
        ...

    def start(self) -> None:
        """Start it; raises OSError."""

    def stop(self) -> None:
        """End the one that was started."""

    def why_ended(self) -> str | None:
        """Why it ended by itself, told once."""
        ...


class LoginPort(Protocol):
    """Starting the tray at login; all of it may raise OSError."""

    def is_enabled(self) -> bool:
        """Whether it is."""
        ...

    def enable(self) -> None:
        """From now on."""

    def disable(self) -> None:
        """No longer."""


class DeskPort(Protocol):
    """The desktop's own means."""

    def open(self, url: str) -> bool:
        """Show a page; whether that was possible."""
        ...

    def copy(self, text: str) -> bool:
        """Put a text on the clipboard; whether that was possible."""
        ...


class NotebookPort(Protocol):
    """What is kept over a restart."""

    def read(self) -> Notes:
        """What was kept last."""
        ...

    def write(self, notes: Notes) -> None:
        """Keep this; raises OSError."""


class Conductor:
    """
    Everything happens in one thread, the poller's; only `last_notice` may be read from another.

    Args:
        marks: dollars below which to warn, where the gateway does not tell.
        refresh: asks for a look soon; told whether OpenRouter is to be asked too.
    """

    def __init__(
        self,
        *,
        shell: ShellPort,
        notifier: NotifierPort,
        gateway: GatewayPort,
        launcher: LauncherPort,
        login: LoginPort | None,
        desk: DeskPort,
        notebook: NotebookPort,
        clock: Clock,
        marks: Sequence[Decimal],
        refresh: Callable[[bool], None],
        on_well: Callable[[], None],
    ) -> None:
        self._shell = shell
        self._notifier = notifier
        self._gateway = gateway
        self._launcher = launcher
        self._login = login
        self._desk = desk
        self._notebook = notebook
        self._clock = clock
        self._marks = tuple(marks)
        self._refresh = refresh
        self._on_well = on_well
        self._notes = notebook.read()
        self._snapshot: Snapshot | None = None
        self._past = Past()
        self._began = clock.now()
        self._problem: tuple[float, str] | None = None
        self._waking_until = float("-inf")
        self._changing: tuple[str, float] | None = None
        self._drawn: tuple[tuple[State, str], Image.Image] | None = None
        self._shown: tuple[tuple[State, str], str, tuple[Row, ...]] | None = None

    @property
    def last_notice(self) -> int | None:
        """The last of the gateway's notices that was heard."""
        return self._notes.memory.last_notice

    @property
    def snapshot(self) -> Snapshot | None:
        """How things stand by the last look."""
        return self._snapshot

    def look(self, force: bool) -> Reading:
        """What the gateway says; OpenRouter is asked too while a purchase is waited for."""
        return self._gateway.look(force=force or self._awaits_purchase())

    def hurry_s(self) -> float | None:
        """The pause to the next look that is wanted just now, in seconds; None for the usual one."""
        steady = self._clock.monotonic()
        if self._changing is not None and steady < self._changing[1]:
            return _CHANGING_POLL_S
        if steady < self._waking_until:
            return _WAKING_POLL_S
        if self._awaits_purchase():
            return _TOP_UP_POLL_S
        # The owner is about to put a secret where it belongs, and will look here whether it works.
        return _SECRET_POLL_S if self._snapshot and self._snapshot.state is State.NO_KEY else None

    def woke(self) -> None:
        """The computer slept: what was known is old, and what fails now may only need a moment."""
        self._waking_until = self._clock.monotonic() + _WAKING_S

    def take(self, reading: Reading) -> None:
        """The gateway was looked at."""
        just_woke = self._clock.monotonic() < self._waking_until
        snapshot = self._snapshot = judge(reading, self._snapshot, self._marks, just_woke=just_woke)
        if snapshot.reading is reading and snapshot.trouble is None:
            self._waking_until = float("-inf")
            self._on_well()
        self._look_after_launch(reading)
        stopping = self._changing is not None and self._changing[0] == "stop"
        self._past = Past(
            was_up=not stopping and (self._past.was_up or reading.trouble not in _GONE),
            was_well=self._past.was_well or snapshot.trouble is None,
        )
        self._carry_out(
            warnings.decide(self._notes.memory, snapshot, self._past, self._now(), hidden=self._notes.hide_amounts)
        )
        self._show()

    def hear(self, notice: Notice) -> None:
        """The gateway announced something."""
        last = self.last_notice
        if last is not None and notice.id <= last:
            return
        if notice.kind == "alert" and notice.event not in _SHOWN_ELSEWHERE and notice.message:
            self._problem = (notice.at, notice.message)
        if last is None and notice.at < self._began:
            # What happened before the tray was ever there is history.
            self._carry_out(Decision(replace(self._notes.memory, last_notice=notice.id)))
            return
        self._carry_out(warnings.hear(self._notes.memory, notice, self._now(), hidden=self._notes.hide_amounts))
        self._refresh(False)

    def act(self, action: str) -> None:
        """Do what was chosen, by a row's or a button's action."""
        name, _, about = action.partition(":")
        match name:
            case "refresh":
                self._refresh(True)
            case "open" | "":
                base_url = self._snapshot.reading.base_url if self._snapshot else None
                self._open(f"{base_url}/" if base_url and self._gateway.has_page() else ACTIVITY_PAGE)
            case "keys":
                self._open(KEYS_PAGE)
            case "top_up":
                self._remember(top_up_since=self._clock.now())
                self._open(CREDITS_PAGE)
                self._refresh(False)
            case "copy":
                self._copy()
            case "pause" | "resume" | "end":
                self._switch(name, about or EVERYBODY)
            case "start" | "stop":
                self._launch(name)
            case "login":
                self._toggle_login()
            case "snooze":
                self._carry_out(Decision(warnings.snoozed(self._notes.memory, about, self._now())))
            case "hide":
                self._keep(replace(self._notes, hide_amounts=not self._notes.hide_amounts))
            case "quit":
                self._shell.stop()
                return
        self._show()

    def _open(self, url: str) -> None:
        if not self._desk.open(url):
            self._tell("page", "There is no browser to show it", url)

    def _copy(self) -> None:
        base_url = self._snapshot.reading.base_url if self._snapshot else None
        if base_url is None:
            self._tell("copy", "There is no address to copy", "The gateway is not running.")
            return
        address = f"{base_url}/v1"
        if self._desk.copy(address):
            self._tell("copy", "Address copied", address)
        else:
            self._tell("copy", "There is no program that copies texts", f"{address}\nInstall wl-copy, xclip or xsel.")

    def _switch(self, name: str, app: str) -> None:
        try:
            match name:
                case "pause":
                    self._gateway.pause(app)
                case "resume":
                    self._gateway.resume(app)
                case "end":
                    ended = self._gateway.end(app)
                    self._tell("end", "Calls ended", f"{ended} running call{'' if ended == 1 else 's'} ended.")
        except Failed as failed:
            # Whoever stops programs from spending must hear of it when that did not work.
            doing = {"pause": "Pausing", "resume": "Resuming", "end": "Ending calls"}[name]
            self._fail(f"{doing} did not work", failed.why)
        self._refresh(False)

    def _launch(self, name: str) -> None:
        self._changing = name, self._clock.monotonic() + _CHANGING_S
        if name == "stop":
            # That it is gone then is no news.
            self._past = replace(self._past, was_up=False)
            self._launcher.stop()
        else:
            try:
                self._launcher.start()
            except OSError as error:
                self._fail("The gateway cannot be started", error.strerror or type(error).__name__)
        self._refresh(False)

    def _look_after_launch(self, reading: Reading) -> None:
        why = self._launcher.why_ended()
        if why is not None:
            self._changing = None
            self._fail("The gateway ended with an error", why or "It left no word in its log.")
        if self._changing is not None:
            name, until = self._changing
            done = (reading.trouble in _GONE) == (name == "stop")
            self._changing = None if done or self._clock.monotonic() >= until else self._changing

    def _toggle_login(self) -> None:
        if self._login is None:
            return
        try:
            if self._login.is_enabled():
                self._login.disable()
            else:
                self._login.enable()
        except OSError as error:
            self._fail("Starting at login cannot be changed", error.strerror or str(error))

    def _starts_at_login(self) -> bool | None:
        try:
            return None if self._login is None else self._login.is_enabled()
        except OSError:
            return None

    def _fail(self, title: str, why: str) -> None:
        self._problem = (self._clock.now(), f"{title}: {why}")
        self._tell("action", title, why)

    def _tell(self, key: str, title: str, body: str) -> None:
        self._notifier.send(key, title, body, (), warnings.NORMAL)

    def _awaits_purchase(self) -> bool:
        since = self._notes.memory.top_up_since
        return since is not None and 0 <= self._clock.now() - since < _TOP_UP_S

    def _carry_out(self, decision: Decision) -> None:
        self._keep(replace(self._notes, memory=decision.memory))
        # Messages show the icon beside their text: it is the new one by then.
        self._show()
        for key in decision.close:
            self._notifier.close(key)
        for message in decision.send:
            self._send(message)

    def _send(self, message: Message) -> None:
        buttons = [one for one in message.buttons if one != warnings.START or self._launcher.can_start]
        self._notifier.send(message.key, message.title, message.body, tuple(buttons), message.urgency)

    def _remember(self, top_up_since: float) -> None:
        self._keep(replace(self._notes, memory=replace(self._notes.memory, top_up_since=top_up_since)))

    def _keep(self, notes: Notes) -> None:
        self._notes = notes
        try:
            self._notebook.write(notes)
        except OSError as error:
            _log.warning("tray.notes_lost", extra={"why": type(error).__name__})

    def _show(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        now, hidden = self._now(), self._notes.hide_amounts
        face = snapshot.state, words.badge(snapshot, hidden=hidden)
        shown = face, words.title(snapshot, now, hidden=hidden), rows(snapshot, self._choices(snapshot, now), now)
        if shown == self._shown:
            return
        if self._drawn is None or self._drawn[0] != face:
            self._drawn = face, draw(*face, template=sys.platform == "darwin")
        self._shown = shown
        self._shell.show(self._drawn[1], shown[1], shown[2])

    def _choices(self, snapshot: Snapshot, now: datetime) -> Choices:
        return Choices(
            hide_amounts=self._notes.hide_amounts,
            snoozed=warnings.snooze_text(self._notes.memory, now),
            at_login=self._starts_at_login(),
            can_start=self._launcher.can_start,
            can_stop=self._launcher.runs,
            problem=self._last_problem(snapshot, now),
        )

    def _last_problem(self, snapshot: Snapshot, now: datetime) -> str:
        health = snapshot.health
        if snapshot.trouble is None and health is not None and health.error:
            return health.error
        if self._problem is not None and self._clock.now() - self._problem[0] < _PROBLEM_S:
            return f"{words.clock_time(self._problem[0], now)} {self._problem[1]}"
        if health is not None and health.resting:
            more = f" and {len(health.resting) - 1} more" if len(health.resting) > 1 else ""
            return f"{health.resting[0]}{more} failed, passed over for a while"
        return ""

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now()).astimezone()
