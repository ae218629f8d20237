"""Messages by way of desktop-notifier, on Windows and macOS."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tray.notify import NORMAL, Notifier

_log = logging.getLogger("orgate.tray")
_STOP_S = 1.0


class PortableNotifier:
    """
    An event loop in a thread of its own; desktop-notifier is loaded there, with the first message.

    Where it would show nothing - a Python that macOS does not know as a signed program, a permission that was not
    given - messages go to `fallback` instead.
    """

    def __init__(self, on_action: Callable[[str], None], fallback: Notifier) -> None:
        self._on_action = on_action
        self._fallback = fallback
        self._library: Any = None  # desktop_notifier, which not every system has
        self._center: Any = None
        self._works: bool | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="orgate-messages", daemon=True)
        self._thread.start()

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = NORMAL
    ) -> None:
        """Have a message shown."""
        self._do(self._send(key, title, body, tuple(buttons), urgency))

    def close(self, key: str) -> None:
        """Take the message with this key away."""
        self._do(self._close(key))

    def stop(self) -> None:
        """Take all messages away and end, within a second or two."""
        self._do(self._end())
        self._thread.join(_STOP_S)
        self._fallback.stop()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        told = _logged(work)
        try:
            asyncio.run_coroutine_threadsafe(told, self._loop)
        except RuntimeError:  # it ended
            told.close()
            work.close()

    async def _send(self, key: str, title: str, body: str, buttons: tuple[tuple[str, str], ...], urgency: str) -> None:
        if self._works is None:
            self._works = await self._start()
        if not self._works:
            self._fallback.send(key, title, body, buttons, urgency)
            return
        presses = [functools.partial(self._on_action, action) for action, _ in buttons]
        message = self._library.Notification(
            title,
            body,
            identifier=key,
            urgency=self._library.Urgency(urgency),
            buttons=tuple(
                self._library.Button(title=label, on_pressed=press)
                for (_, label), press in zip(buttons, presses, strict=True)
            ),
            on_clicked=presses[0] if presses else None,
        )
        await self._center.send_notification(message)

    async def _start(self) -> bool:
        try:
            self._library = importlib.import_module("desktop_notifier")
            self._center = self._library.DesktopNotifier(app_name="orgate", app_icon=None)
            able = self._library.Capability.MESSAGE in await self._center.get_capabilities()
            return able and bool(await self._center.request_authorisation())
        except Exception as error:  # each system's library fails in its own way
            _log.info("tray.messages_plain", extra={"reason": str(error)})
            return False

    async def _close(self, key: str) -> None:
        if self._works:
            await self._center.clear(key)
        else:
            self._fallback.close(key)

    async def _end(self) -> None:
        try:
            if self._works:
                await asyncio.wait_for(self._center.clear_all(), _STOP_S)
        finally:
            self._loop.stop()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        _log.exception("tray.message_broke")
