"""What a token allows its app."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from app.core.frozen import frozen

SCOPES = ("chat", "models", "credits", "usage")
CONTROL = "control"
"""The scope of the owner's own tools alone: pausing apps, the ledger's care."""

QUOTA_KINDS = ("chat", "credits", "models")
OWNER = "orgate"
"""The app that the owner's own tools are: command line and tray."""

APP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


@frozen
class Grant:
    """An app's token as the gateway keeps it; the token itself is never stored."""

    id: str
    """The token's jti."""
    app: str
    scopes: frozenset[str]
    issued_at: int
    """Seconds since 1970, as are the next two."""
    expires_at: int
    revoked_at: int | None = None
    quotas: Mapping[str, str] = field(default_factory=dict)
    """The token's own quotas by kind, such as {"chat": "60 per minute"}; the others are the gateway's."""
    wishes: Mapping[str, str] = field(default_factory=dict)
    """What the token wishes for its calls (core/wishes.py), such as {"delivery": "whole"}."""
    budgets: Mapping[str, int] = field(default_factory=dict)
    """What the app may spend, by period (core/budget.py), in nano-dollars."""
    models: tuple[str, ...] = ()
    """The models it may use, full ids or "author/*"; empty for all."""
    max_price: Mapping[str, str] = field(default_factory=dict)
    """The dearest it may use, in dollars per million tokens, such as {"prompt": "1", "completion": "5"}."""
