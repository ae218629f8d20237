"""A call from an app and the facts that are told of it when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.meter import Usage


@dataclass(frozen=True)
class Call:
    """One request of an app for an answer, checked and ready to be sent."""

    id: str
    app: str
    endpoint: str
    """The API style's path: "/chat/completions"."""
    model: str
    fallbacks: tuple[str, ...]
    """The models that the app named in `models`."""
    stream: bool
    body: bytes
    headers: Mapping[str, str]
    """What OpenRouter is sent beside the key and the content type."""
    started: float
    """The monotonic clock, in seconds, when the gateway had the request."""


@dataclass(frozen=True)
class CallReport:
    """The document's "Request Logging": what one call was and became. Nothing in it is message text."""

    call_id: str
    app: str
    endpoint: str
    model: str
    fallbacks: tuple[str, ...]
    stream: bool
    status: int
    """The HTTP status that the app saw; 499 when it left first."""
    outcome: str
    """"answered", "left" (the app closed), or the code of the error."""
    duration_s: float
    first_byte_s: float | None
    served_model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    usage: Usage | None = None
