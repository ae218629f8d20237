"""What the web layer keeps on the application and on each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import flask

from app.core.errors import Json
from app.core.grants import Grant
from app.services.bundle import Calling, Services

_EXTENSION = "orgate"


@dataclass(frozen=True)
class WebSettings:
    """The settings that concern only what is said over HTTP."""

    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    site_url: str | None
    site_name: str | None
    extra_headers: Mapping[str, str]
    sanitize: str
    max_message_chars: int


@dataclass
class Visit:
    """What is known of the request at hand, from the door to the answer."""

    id: str
    started: float
    """The monotonic clock, in seconds."""
    grant: Grant | None = None
    raw: bytes = b""
    body: Json = None
    """The decoded JSON object of a POST, for `raw`."""
    agent: str | None = None
    """The agent that was called, by its id."""
    overruled: tuple[str, ...] = ()
    """The app's fields that the agent has put aside."""


def attach(app: flask.Flask, services: Calling, settings: WebSettings) -> None:
    """Make the services and the settings known to the application's requests."""
    app.extensions[_EXTENSION] = (services, settings)


def calling() -> Calling:
    """What every process has of the application's services: all that calls need."""
    found: Calling = flask.current_app.extensions[_EXTENSION][0]
    return found


def services() -> Services:
    """The application's services, in the process that has them all."""
    found: Services = flask.current_app.extensions[_EXTENSION][0]
    return found


def settings() -> WebSettings:
    """The application's web settings."""
    found: WebSettings = flask.current_app.extensions[_EXTENSION][1]
    return found


def visit() -> Visit:
    """The request at hand."""
    found: Visit = flask.g.visit
    return found


def app_of() -> Grant:
    """The grant of the app that asks; only routes that need a token may call this."""
    grant = visit().grant
    assert grant is not None
    return grant
