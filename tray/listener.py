"""Hears what the gateway announces on GET /events, as it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import requests
import urllib3

from tray import figures
from tray.client import API, Place
from tray.figures import Notice, Unreadable

_CONNECT_S = 2.0
_SILENCE_S = 40.0
"""The gateway says something every 15 s, if only that there is nothing new."""

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


class Listener:
    """
    Listens in a thread of its own; when the gateway goes, it tries again, less and less often.

    Args:
        place: where the gateway is now.
        since: the last notice that was heard, so that those missed are repeated.
        heard: takes each notice.
        changed: is told that the connection came or went, which is worth a look.
    """

    def __init__(
        self,
        *,
        place: Callable[[], Place | None],
        since: Callable[[], int | None],
        heard: Callable[[Notice], None],
        changed: Callable[[], None],
    ) -> None:
        self._place = place
        self._since = since
        self._heard = heard
        self._changed = changed
        self._again = threading.Event()
        self._lock = threading.Lock()
        self._stopped = False
        self._response: requests.Response | None = None
        self._thread = threading.Thread(target=self._run, name="orgate-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def nudge(self) -> None:
        """The gateway is there: if nobody listens, do so now."""
        self._again.set()

    def stop(self) -> None:
        """End, at once."""
        with self._lock:
            self._stopped = True
            response = self._response
        self._again.set()
        if response is not None:
            with suppress(OSError, ValueError):
                response.raw.shutdown()
        if self._thread.is_alive():
            self._thread.join(2)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopped:
            self._again.clear()
            if self._listen():
                pause_s = _FIRST_PAUSE_S
                self._changed()
            if not self._stopped:
                self._again.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _listen(self) -> bool:
        """Whether there was a connection; it has ended since."""
        place = self._place()
        if place is None or place.token is None:
            return False
        headers = {
            "Authorization": f"Bearer {place.token}",
            "Accept-Encoding": "identity",
            "Last-Event-ID": str(self._since() or 0),
        }
        with requests.Session() as session:
            session.trust_env = False
            try:
                if not _is_gateway(session, place.base_url):
                    return False
                response = session.get(
                    f"{place.base_url}{API}/events",
                    headers=headers,
                    stream=True,
                    timeout=(_CONNECT_S, _SILENCE_S),
                    allow_redirects=False,
                )
            except requests.RequestException:
                return False
            with response:
                return response.status_code == 200 and self._follow(response)

    def _follow(self, response: requests.Response) -> bool:
        with self._lock:
            if self._stopped:
                return False
            self._response = response
        try:
            for name, data in _events(response):
                if name == "state":
                    self._changed()
                    continue
                with suppress(Unreadable):
                    self._heard(figures.notice(figures.decode(data)))
        except (urllib3.exceptions.HTTPError, OSError):
            pass
        finally:
            with self._lock:
                self._response = None
        return True


def _is_gateway(session: requests.Session, base_url: str) -> bool:
    """Whether a gateway answers there: nobody else is shown the token."""
    asked = session.get(f"{base_url}/healthz", timeout=(_CONNECT_S, _SILENCE_S), allow_redirects=False)
    return asked.status_code == 204


def _events(response: requests.Response) -> Iterator[tuple[str, bytes]]:
    """Name and data of each event (HTML Living Standard §9.2); the gateway's have one line of data each."""
    rest = b""
    while chunk := response.raw.read1(65536):
        *whole, rest = (rest + chunk).split(b"\n\n")
        for event in whole:
            fields = dict(line.split(b": ", 1) for line in event.splitlines() if b": " in line[1:])
            if b"data" in fields:
                yield fields.get(b"event", b"").decode("utf-8", "replace"), fields[b"data"]
