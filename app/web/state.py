"""What the web layer keeps on the application and on each request."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import flask

from app.core.errors import Json
from app.core.frozen import frozen
from app.core.grants import Grant
from app.core.ports import Begin
from app.services.bundle import Calling, Services

_EXTENSION = "orgate"


@frozen
class WebSettings:
    """The settings that concern only what is said over HTTP."""

    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    site_url: str | None
    site_name: str | None
    extra_headers: Mapping[str, str]
    sanitize: str
    max_message_chars: int


@frozen
class Web:
    """What requests are answered with."""

    services: Calling
    settings: WebSettings


class Visit:
    """What is known of the request at hand, from the door to the answer."""

    def __init__(self, environ: dict[str, Any], web: Web) -> None:
        """`environ` is WSGI's."""
        # Milliseconds first: where names are in the order of time the ledger writes a new one beside the last, however
        # many there are. Then no random numbers of the system's, which take a system call: a name opens nothing.
        self.id = f"call_{int(web.services.clock.now() * 1000):012x}{random.getrandbits(48):012x}"
        self.started = web.services.clock.monotonic()
        """The monotonic clock, in seconds."""
        self.environ = environ
        self.path = "/" + environ.get("PATH_INFO", "").lstrip("/").encode("latin-1").decode(errors="replace")
        self.services = web.services
        self.settings = web.settings
        self.grant: Grant | None = None
        self.raw = b""
        self.body: Json = None
        """The decoded JSON object of a POST, for `raw`."""
        self.begin: Begin | None = None
        """Begins the answer before its first part is there."""
        self.sanitized: str | None = None
        """What was taken out of the messages or cut, for people."""
        self.agent: str | None = None
        """The agent that was called, by its id."""
        self.overruled: tuple[str, ...] = ()
        """The app's fields that the agent has put aside."""

    @property
    def app(self) -> Grant:
        """The grant of the app that asks; only where a token is needed may this be asked."""
        assert self.grant is not None
        return self.grant


def attach(app: flask.Flask, web: Web) -> None:
    """Make this known to the application's requests."""
    app.extensions[_EXTENSION] = web


def web_of(app: flask.Flask) -> Web:
    """What was attached to this application."""
    found: Web = app.extensions[_EXTENSION]
    return found


def calling() -> Calling:
    """What every process has of the application's services: all that calls need."""
    return web_of(flask.current_app).services


def services() -> Services:
    """The application's services, in the process that has them all."""
    found = calling()
    assert isinstance(found, Services)
    return found


def visit() -> Visit:
    """The request at hand."""
    found: Visit = flask.g.visit
    return found


def app_of() -> Grant:
    """The grant of the app that asks; only routes that need a token may call this."""
    return visit().app


def key_of(name: str) -> str:
    """What a header is called in WSGI's environ, but for those of the body."""
    return "HTTP_" + name.upper().replace("-", "_")
