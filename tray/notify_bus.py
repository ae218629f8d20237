"""Messages by way of the freedesktop notification service, on D-Bus."""

from __future__ import annotations

import html
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jeepney import DBusAddress, DBusErrorResponse, HeaderFields, MatchRule, Message, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import unwrap_msg
from PIL import Image

from tray.notify import NORMAL, with_links
from tray.surroundings import session_bus

_log = logging.getLogger("orgate.tray")

_NAME = "org.freedesktop.Notifications"
_SERVICE = DBusAddress("/org/freedesktop/Notifications", _NAME, _NAME)
_URGENCIES = {"low": 0, "normal": 1, "critical": 2}
_ICONS = {"low": "dialog-information", "normal": "dialog-information", "critical": "dialog-warning"}
_REPLY_S = 10.0
_FRESH_S = 600.0
"""So long a message waits for a desktop that cannot show it yet; later it would be news no more."""

_PICTURE = 64


@dataclass(frozen=True)
class _Note:
    """A message as it was asked for."""

    key: str
    title: str
    body: str
    buttons: tuple[tuple[str, str], ...]
    urgency: str
    asked_at: float


class BusNotifier:
    """
    A thread of its own talks to the service and listens to it; it is woken when there is something to do.

    The service may start later than this, and anew: a message that could not be shown waits for it.
    """

    def __init__(
        self,
        on_action: Callable[[str], None],
        *,
        image: Callable[[], Image.Image] | None = None,
        links: Mapping[str, str],
    ) -> None:
        self._on_action = on_action
        self._image = image
        self._links = links
        self._work: deque[Callable[[], None]] = deque()
        self._heard, self._woken = socket.socketpair()
        self._ends = False
        self._connection: DBusConnection | None = None
        self._signals: deque[Message] = deque()
        self._capabilities: frozenset[str] | None = None
        self._ids: dict[str, int] = {}
        self._shown: dict[int, _Note] = {}
        self._waiting: dict[str, _Note] = {}
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="orgate-messages", daemon=True)
        self._thread.start()

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = NORMAL
    ) -> None:
        """Have a message shown."""
        note = _Note(key, title, body, tuple(buttons), urgency, time.monotonic())
        self._do(lambda: self._show(note))

    def close(self, key: str) -> None:
        """Take the message with this key away."""
        self._do(lambda: self._close(key))

    def stop(self) -> None:
        """Take all messages away and end, within a second."""
        self._do(self._end)
        self._thread.join(1.0)

    def _do(self, work: Callable[[], None]) -> None:
        self._work.append(work)
        with suppress(OSError):  # it ended
            self._woken.send(b"!")

    def _run(self) -> None:
        while not self._ends:
            waits_for = [self._heard, *([self._connection.sock] if self._connection else [])]
            select.select(waits_for, [], [])
            if self._heard in select.select([self._heard], [], [], 0)[0]:
                self._heard.recv(4096)
            self._try(self._receive)
            while self._work and not self._ends:
                self._try(self._work.popleft())
                self._try(self._receive)
        self._disconnect()
        self._heard.close()
        self._woken.close()

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            _log.exception("tray.message_broke")

    def _end(self) -> None:
        for key in list(self._ids):
            self._close(key)
        self._ends = True

    def _show(self, note: _Note) -> None:
        self._waiting[note.key] = note
        try:
            self._post(note)
            if self._capabilities is None:  # another service took over while this was asked of the one before
                self._post(note)
        except (OSError, DBusErrorResponse, RuntimeError, ValueError) as error:
            self._failed(error)
        else:
            del self._waiting[note.key]

    def _post(self, note: _Note) -> None:
        able = self._able()
        buttons = note.buttons if "actions" in able else ()
        body = note.body if buttons else with_links(note.body, note.buttons, self._links)
        if "body-markup" in able:
            body = html.escape(body, quote=False)
        # A click on the message itself; with a label it would be one more button on some desktops.
        pairs = [("default", ""), *buttons] if buttons else []
        actions = [part for pair in pairs for part in pair]
        hints: dict[str, tuple[str, Any]] = {"urgency": ("y", _URGENCIES.get(note.urgency, 1))}
        if self._image is not None:
            hints["image-data"] = ("(iiibiiay)", _pixels(self._image()))
        replaced = self._ids.get(note.key, 0)
        arguments = ("orgate", replaced, _ICONS.get(note.urgency, ""), note.title, body, actions, hints, -1)
        (number,) = self._call("Notify", "susssasa{sv}i", arguments)
        self._shown.pop(replaced, None)
        self._ids[note.key] = number
        self._shown[number] = note

    def _close(self, key: str) -> None:
        self._waiting.pop(key, None)
        number = self._ids.pop(key, None)
        if number is None:
            return
        self._shown.pop(number, None)
        # No answer is needed, and none is waited for.
        with suppress(OSError, RuntimeError, ValueError):
            self._wire().send(new_method_call(_SERVICE, "CloseNotification", "u", (number,)))

    def _receive(self) -> None:
        while self._connection is not None:
            try:
                self._connection.recv_messages(timeout=0)
            except TimeoutError:
                break
            except OSError as error:
                self._failed(error)
            self._hear_all()

    def _hear_all(self) -> None:
        while self._signals:
            self._hear(self._signals.popleft())

    def _hear(self, signal: Message) -> None:
        member = signal.header.fields[HeaderFields.member]
        if member == "NameOwnerChanged":
            self._service_changed(running=bool(signal.body[2]))
            return
        note = self._shown.get(signal.body[0])
        if note is None:
            return
        if member == "ActionInvoked":
            chosen = signal.body[1]
            actions = [action for action, _ in note.buttons]
            if chosen == "default":
                chosen = actions[0]
            if chosen in actions:
                self._on_action(chosen)
        elif member == "NotificationClosed":
            del self._shown[signal.body[0]]
            self._ids.pop(note.key, None)

    def _service_changed(self, *, running: bool) -> None:
        # Another service counts anew: its numbers are not those of the one before.
        self._ids.clear()
        self._shown.clear()
        self._capabilities = None
        if running:
            self._work.append(self._show_waiting)

    def _show_waiting(self) -> None:
        for note in list(self._waiting.values()):
            del self._waiting[note.key]
            if time.monotonic() - note.asked_at < _FRESH_S:
                self._show(note)

    def _able(self) -> frozenset[str]:
        if self._capabilities is None:
            self._capabilities = frozenset(self._call("GetCapabilities")[0])
        return self._capabilities

    def _call(self, method: str, signature: str | None = None, arguments: tuple[Any, ...] = ()) -> Any:
        message = new_method_call(_SERVICE, method, signature, arguments)
        answer = self._wire().send_and_get_reply(message, timeout=_REPLY_S)
        # What was told before the answer is about what was before it, even where numbers are the same.
        self._hear_all()
        return unwrap_msg(answer)

    def _wire(self) -> DBusConnection:
        if self._connection is None:
            connection = open_dbus_connection(session_bus(os.environ))
            try:
                self._listen(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _listen(self, connection: DBusConnection) -> None:
        ours = MatchRule(type="signal", interface=_NAME, path=_SERVICE.object_path)
        owner = MatchRule(type="signal", interface="org.freedesktop.DBus", member="NameOwnerChanged")
        owner.add_arg_condition(0, _NAME)
        for rule in (ours, owner):
            connection.filter(rule, queue=self._signals)
            Proxy(message_bus, connection, timeout=_REPLY_S).AddMatch(rule)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, DBusErrorResponse | TimeoutError):
            self._disconnect()
            self._service_changed(running=False)
        if not self._complained:
            self._complained = True
            _log.warning("tray.messages_unavailable", extra={"reason": str(error) or type(error).__name__})


def _pixels(image: Image.Image) -> tuple[int, int, int, bool, int, int, bytes]:
    """A picture as the service's `image-data` wants it."""
    picture = image.convert("RGBA")
    picture.thumbnail((_PICTURE, _PICTURE))
    return (*picture.size, picture.width * 4, True, 8, 4, picture.tobytes())
