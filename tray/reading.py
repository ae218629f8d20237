"""What one look at the gateway brought."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tray.figures import Credits, Health, Usage


class Trouble(StrEnum):
    """Why a look brought no figures of now."""

    DOWN = "down"
    """No gateway runs."""
    SILENT = "silent"
    """It takes connections but does not answer."""
    FOREIGN = "foreign"
    """Something else answers in its place."""
    NO_TOKEN = "no_token"
    """The tray has no token to ask with."""
    TOKEN_REFUSED = "token_refused"
    """The gateway does not take the tray's token."""
    NO_KEY = "no_key"
    """The gateway has no OpenRouter key."""
    KEY_REFUSED = "key_refused"
    """OpenRouter refuses the gateway's key."""
    UNREACHABLE = "unreachable"
    """OpenRouter cannot be reached, or gives no answer that makes sense."""
    REFUSED = "refused"
    """The gateway answers with an error of another kind."""


@dataclass(frozen=True)
class Reading:
    """The gateway as it was at one moment."""

    at: float
    """Seconds since 1970."""
    base_url: str | None
    """Where the gateway is or would be; None when nothing says so."""
    trouble: Trouble | None = None
    why: str = ""
    """The trouble in the gateway's own words, or in the client's."""
    credits: Credits | None = None
    """Set unless there is trouble; there may be figures all the same, stale ones."""
    today: Usage | None = None
    month: Usage | None = None
    health: Health | None = None
