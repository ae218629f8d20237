"""The gateway over HTTP: where it is, what it says, and what can be asked of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

from tray import figures
from tray.figures import EVERYBODY, KEY_CODES, Credits, Health, Json, Unreadable, Usage
from tray.reading import Reading, Trouble
from tray.settings import Settings

API = "/api/openrouter"
WHEREABOUTS, TOKEN, DEMO = "gateway.json", "token", "demo"
"""Files of the state folder, and the folder in it that the demo uses."""

_CONNECT_S = 2.0
_READ_S = 5.0
_CREDITS_S = 10.0
"""The gateway may ask OpenRouter before it answers."""

_OWN_TOKEN_CODES = frozenset(
    {
        "missing_token",
        "invalid_token",
        "revoked_token",
        "expired_token",
        "key_instead_of_token",
        "missing_scope",
        "forbidden",
    }
)


_Told = TypeVar("_Told")


class Failed(Exception):
    """The gateway did not do or tell what it was asked."""

    def __init__(self, trouble: Trouble, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.trouble = trouble
        self.why = why
        self.status = status
        """Of the answer that said so; 0 when there was none, or none of a gateway's."""


@dataclass(frozen=True)
class Place:
    """A gateway and the token to speak to it with."""

    base_url: str
    token: str | None


class Client:
    """Finds the gateway anew for everything it does, so that one which moved is found."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now

    def look(self, *, force: bool = False) -> Reading:
        """How the gateway and the money are; with `force` OpenRouter is asked for it now."""
        at, place = self._now(), self.place()
        if place is None:
            return Reading(at, None, Trouble.DOWN, "No gateway has left its address in the state folder.")
        health: Health | None = None
        today: Usage | None = None
        month: Usage | None = None
        try:
            with _Talk(place) as talk:
                self._expect_gateway(talk)
                health = talk.health()
                today, month = talk.usage("today"), talk.usage("month")
                credits = talk.credits(force or health.closed in KEY_CODES)
        except Failed as failed:
            return Reading(at, place.base_url, failed.trouble, failed.why, None, today, month, health)
        return Reading(at, place.base_url, None, "", credits, today, month, health)

    def pause(self, app: str = EVERYBODY) -> int:
        """Stop a program, or all; how many running calls that ended. Raises Failed."""
        return _count(self._post("/pause", app), "ended")

    def resume(self, app: str = EVERYBODY) -> None:
        """Let a program, or all, spend again; raises Failed."""
        self._post("/resume", app)

    def end(self, app: str = EVERYBODY) -> int:
        """End the running calls of a program, or of all; how many those were. Raises Failed."""
        return _count(self._post("/end", app), "ended")

    def has_page(self) -> bool:
        """Whether the gateway shows a page to people."""
        place = self.place()
        if place is None:
            return False
        try:
            with _Talk(place) as talk:
                return talk.send("GET", "/", anonymous=True).status_code == 200
        except Failed:
            return False

    def place(self) -> Place | None:
        """Where the gateway is, by the settings, else by what it or the demo left in the state folder."""
        folder = self._settings.state
        if self._settings.url is not None:
            return Place(self._settings.url, self._settings.token or _token(folder))
        homes = (folder, folder / DEMO)
        found = [
            Place(base_url, self._settings.token or _token(home)) for home in homes if (base_url := _whereabouts(home))
        ]
        if len(found) > 1 and not _may_be_gateway(found[0]):
            del found[0]
        return found[0] if found else None

    def signature(self) -> tuple[tuple[int, int] | None, ...]:
        """Changes whenever a gateway of this state folder starts or ends properly."""
        if self._settings.url is not None:
            return ()
        folder = self._settings.state
        return tuple(_stamp(home / WHEREABOUTS) for home in (folder, folder / DEMO))

    def _post(self, path: str, app: str) -> Json:
        place = self.place()
        if place is None:
            raise Failed(Trouble.DOWN, "No gateway is running.")
        with _Talk(place) as talk:
            self._expect_gateway(talk)
            return talk.post(path, {"app": None if app == EVERYBODY else app})

    def _expect_gateway(self, talk: _Talk) -> None:
        try:
            talk.expect_gateway()
        except Failed as failed:
            if failed.trouble is not Trouble.FOREIGN or self._settings.url is not None:
                raise
            # It says where a gateway was that crashed; nobody has claimed that there still is one.
            raise Failed(Trouble.DOWN, failed.why) from None


class _Talk:
    """One connection to the gateway, ended with the block: between two looks nothing is kept open."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def expect_gateway(self) -> None:
        """Raise Failed unless a gateway answers and there is a token for it: nobody else is shown the token."""
        if self.send("GET", "/healthz", anonymous=True).status_code != 204:
            raise Failed(Trouble.FOREIGN, f"{self._place.base_url} answers, but not as a gateway.")
        if self._place.token is None:
            raise Failed(Trouble.NO_TOKEN, "There is no token in the state folder.")

    def health(self) -> Health:
        """The gateway's health, whichever it is; raises Failed."""
        response = self.send("GET", f"{API}/health")
        if response.status_code not in (200, 503):
            raise _refused(response)
        return _read(response, figures.health)

    def usage(self, since: str) -> Usage | None:
        """Spending by program since then; None when the ledger cannot be read. Raises Failed."""
        try:
            return self._get("/usage", figures.usage, {"by": "app", "since": since})
        except Failed as failed:
            if failed.status < 500:
                raise
            return None

    def credits(self, force: bool) -> Credits:
        """The money; raises Failed."""
        try:
            return self._get("/credits", figures.credits, {"force": "true"} if force else {}, read_s=_CREDITS_S)
        except Failed as failed:
            if failed.trouble is Trouble.SILENT:
                # It has answered everything else: it waits for OpenRouter.
                raise Failed(Trouble.UNREACHABLE, "OpenRouter has not answered in time.") from None
            raise

    def post(self, path: str, body: Json) -> Json:
        """The answer to a POST; raises Failed."""
        response = self.send("POST", API + path, json=body)
        if response.status_code != 200:
            raise _refused(response)
        return _read(response, lambda answer: answer)

    def send(
        self, method: str, path: str, *, anonymous: bool = False, read_s: float | None = None, **rest: Any
    ) -> requests.Response:
        """The response, whichever it is; raises Failed when there is none."""
        headers = {"Accept-Encoding": "identity"}
        if not anonymous:
            headers["Authorization"] = f"Bearer {self._place.token}"
        url = self._place.base_url + path
        try:
            return self._session.request(
                method, url, headers=headers, timeout=(_CONNECT_S, read_s or _READ_S), allow_redirects=False, **rest
            )
        except requests.Timeout:
            raise Failed(Trouble.SILENT, f"{self._place.base_url} does not answer in time.") from None
        except requests.ConnectionError:
            raise Failed(Trouble.DOWN, f"Nothing answers at {self._place.base_url}.") from None
        except (requests.RequestException, UnicodeError):
            raise Failed(Trouble.FOREIGN, f"{self._place.base_url} answers, but makes no sense.") from None

    def _get(
        self, path: str, reader: Callable[[Json], _Told], query: dict[str, str], read_s: float | None = None
    ) -> _Told:
        response = self.send("GET", API + path, params=query, read_s=read_s)
        if response.status_code != 200:
            raise _refused(response)
        return _read(response, reader)


def _read(response: requests.Response, reader: Callable[[Json], _Told]) -> _Told:
    try:
        return reader(figures.decode(response.content))
    except Unreadable:
        raise Failed(Trouble.FOREIGN, "What answers speaks no gateway's language.") from None


def _refused(response: requests.Response) -> Failed:
    """What an error answer means."""
    try:
        code, message = figures.refusal(figures.decode(response.content))
    except Unreadable:
        code = message = ""
    if not code:
        return Failed(Trouble.FOREIGN, f"It answered {response.status_code}, and not as a gateway does.")
    if code == "no_api_key":
        return Failed(Trouble.NO_KEY, message)
    if response.status_code in (401, 403) and code in _OWN_TOKEN_CODES:
        return Failed(Trouble.TOKEN_REFUSED, message)
    if response.status_code == 401:
        return Failed(Trouble.KEY_REFUSED, message)
    if response.status_code == 429:
        # Its own words count the seconds, and rows must not.
        return Failed(Trouble.REFUSED, "orgate's own tools ask the gateway too often just now.", 429)
    upstream = response.status_code in (408, 502, 504) or code.startswith("upstream_")
    return Failed(Trouble.UNREACHABLE if upstream else Trouble.REFUSED, message, response.status_code)


def _whereabouts(home: Path) -> str | None:
    """The address that a gateway has left in its state folder; None when that gateway has ended."""
    try:
        told = figures.decode((home / WHEREABOUTS).read_bytes())
        base_url = told["base_url"]
        return base_url if isinstance(base_url, str) and _lives(told["pid"]) else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _lives(pid: int) -> bool:
    if sys.platform == "win32":
        # Signal 0 would not be a mere question there; that nobody listens is found out soon enough.
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


def _may_be_gateway(place: Place) -> bool:
    """Whether a gateway answers there, or something that has yet to answer; a crashed one's file leads to neither."""
    try:
        with _Talk(place) as talk:
            return talk.send("GET", "/healthz", anonymous=True).status_code == 204
    except Failed as failed:
        return failed.trouble is Trouble.SILENT


def _token(home: Path) -> str | None:
    try:
        return (home / TOKEN).read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _count(answer: Json, name: str) -> int:
    found = answer.get(name) if isinstance(answer, dict) else None
    return found if isinstance(found, int) else 0
