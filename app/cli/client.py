"""Commands that ask the running gateway: where it is, and speaking to it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from app.cli import options
from app.cli.output import FAILED, MISUSED, NOT_RUNNING, Failure

if TYPE_CHECKING:
    import requests

    from app.settings import Settings

WHEREABOUTS = "gateway.json"
TOKEN = "token"
DEMO = "demo"
_ANSWERS_S = 2.0
"""A gateway that is too busy to answer for so long is there all the same."""

url_option = click.option("--url", metavar="URL", help="Another gateway's address.  [ORGATE_URL; token: ORGATE_TOKEN]")


@dataclass(frozen=True)
class Gateway:
    """A running gateway and the token to speak to it with."""

    base_url: str
    token: str
    folder: Path | None = None
    """Its state folder, where it was found by that."""

    def get(self, path: str, **query: str) -> Any:
        """The JSON answer of a GET; ends the command when it is an error."""
        return _decoded(self._request("GET", path, params=query))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answer of a POST; ends the command when it is an error."""
        return _decoded(self._request("POST", path, json=body))

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of a streamed answer; ends the command where an error takes their place."""
        from app.core.sse import SseDecoder

        with self._request("POST", path, json={**body, "stream": True}, stream=True) as response:
            if response.status_code != 200:
                _decoded(response)
            decoder = SseDecoder()
            while chunk := self._more(response):
                for data in decoder.feed(chunk):
                    if data == b"[DONE]":
                        return
                    event = json.loads(data)
                    if event.get("error"):
                        raise Failure(f"\n{event['error'].get('message', 'The answer broke off.')}")
                    yield event

    def _more(self, response: requests.Response) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            chunk: bytes = response.raw.read1(65536)
        except (HTTPError, OSError):
            raise Failure("\nThe connection to the gateway broke.") from None
        return chunk

    def _request(self, method: str, path: str, **rest: Any) -> requests.Response:
        import requests

        session = requests.Session()
        session.trust_env = False
        headers = {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "identity"}
        try:
            return session.request(method, self.base_url + path, headers=headers, timeout=(5, 630), **rest)
        except requests.ConnectionError:
            raise Failure(
                f"Nothing answers at {self.base_url}. Start the gateway with: orgate serve", NOT_RUNNING
            ) from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
            raise Failure(f"{self.base_url} is no address; give one such as http://127.0.0.1:6767", MISUSED) from None
        except requests.Timeout:
            raise Failure(f"The gateway at {self.base_url} does not answer in time.", FAILED) from None


def running(state_dir: str | None, url: str | None) -> Gateway:
    """The gateway that runs on this state folder, else the demo; ends the command when there is neither."""
    found = find(state_dir, url)
    if found is None:
        raise Failure(
            "No gateway is running. Start one with: orgate serve (or, without a key: orgate demo)", NOT_RUNNING
        )
    return found


def find(state_dir: str | None, url: str | None) -> Gateway | None:
    """The gateway at this address, else the one that runs on this state folder, else the demo; None without any."""
    url = url or os.environ.get("ORGATE_URL")
    token = os.environ.get("ORGATE_TOKEN")
    if url:
        return Gateway(root(url), token or _token(options.settings(orgate_state_dir=state_dir).folders.state))
    found = place(state_dir)
    return Gateway(found.base_url, token or _token(found.folder), found.folder) if found.runs else None


@dataclass(frozen=True)
class Place:
    """Where programs find a gateway, and the state folder whose tokens count there."""

    base_url: str
    folder: Path
    runs: bool


def place(state_dir: str | None) -> Place:
    """The gateway on this state folder, running or not; the demo, if only that runs."""
    settings = options.settings(orgate_state_dir=state_dir)
    folder = settings.folders.state
    for each in (folder, folder / DEMO):
        found = whereabouts(each)
        if found is not None:
            if each != folder:
                click.echo("(asking the demo)", err=True)
            return Place(found["base_url"], each, True)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return Place(f"http://{host}:{settings.port}", folder, False)


def root(url: str) -> str:
    """The gateway's own address, for those who give the one that a client library takes."""
    for mount in ("/api/openrouter", "/api/v1", "/v1"):
        url = url.rstrip("/").removesuffix(mount)
    return url if "://" in url else f"http://{url}"


def whereabouts(folder: Path) -> dict[str, Any] | None:
    """What the gateway on this state folder says of itself; None when none runs."""
    try:
        found: dict[str, Any] = json.loads((folder / WHEREABOUTS).read_text())
        if sys.platform != "win32":  # there it would be Ctrl-C for that process
            os.kill(found["pid"], 0)
        address = urlsplit(found["base_url"])
        host, port = address.hostname or "", address.port or 80
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A crash leaves the file behind, and number and port may be other programs' by now.
    return found if _answers(host, port) else None


def running_at(settings: Settings) -> tuple[Settings, Path, dict[str, Any] | None]:
    """The settings, the state folder and the whereabouts of the gateway that runs; the demo's where that is it."""
    state = settings.folders.state
    for folder in (state, state / DEMO):
        here = whereabouts(folder)
        if here is not None:
            return _demo_settings(folder, here["demo"]) if here.get("demo") else settings, folder, here
    return settings, state, None


def settings_of_running(state_dir: str | None, what: str) -> Settings:
    """The settings; the demo's where that is the gateway that runs, and a word that its `what` are meant."""
    own = options.settings(orgate_state_dir=state_dir)
    settings, _, _ = running_at(own)
    if settings.folders != own.folders:
        click.echo(f"(these are the demo's {what})", err=True)
    return settings


def _demo_settings(folder: Path, demo: dict[str, str]) -> Settings:
    from app.settings import load

    return load({**demo, "ORGATE_STATE_DIR": str(folder)}, environment={}, working_folder=folder)


def _answers(host: str, port: int) -> bool:
    """Whether a gateway answers there, or something that has yet to answer. Nobody else is to see the token."""
    import http.client

    asked = http.client.HTTPConnection(host, port, timeout=_ANSWERS_S)
    try:
        asked.request("GET", "/healthz")
        return asked.getresponse().status == 204
    except TimeoutError:
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def _token(folder: Path) -> str:
    try:
        return (folder / TOKEN).read_text().strip()
    except OSError:
        raise Failure(
            f"There is no token in {folder}. Put one into ORGATE_TOKEN; orgate token issue NAME makes one.", FAILED
        ) from None


def _decoded(response: requests.Response) -> Any:
    try:
        answer = response.json()
    except ValueError:
        raise Failure(f"That is no orgate gateway: it answered {response.status_code} without JSON.") from None
    if response.status_code == 200:
        return answer
    error = answer.get("error") or {}
    raise Failure(error.get("message") or f"The gateway answered {response.status_code}.")
