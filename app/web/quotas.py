"""The app's quota, taken where it counts and told on every answer."""

from __future__ import annotations

import flask

from app.core.grants import Grant
from app.services.turnstile import charge
from app.web import auth
from app.web.state import app_of, calling

_KIND_OF_SCOPE = {"chat": "chat", "credits": "credits", "models": "models", "usage": "models"}


def counts(scope: str) -> bool:
    """Whether requests in this scope count."""
    return scope in _KIND_OF_SCOPE


def take(kind: str) -> None:
    """Count one request of this kind; raises RateLimited when the app has used its quota up."""
    charge(calling().quotas, app_of(), kind)


def told(grant: Grant | None, request: flask.Request) -> list[tuple[str, str]]:
    """The headers that say where the app stands, also after what counted nothing. Reset is in seconds since 1970."""
    if grant is None:
        return []
    kind = _KIND_OF_SCOPE.get(auth.SCOPE_OF.get(auth.view_of(request.endpoint), ""), "models")
    allowance = calling().quotas.look(grant.app, kind, grant.quotas.get(kind))
    return [
        ("X-RateLimit-Limit", str(allowance.limit)),
        ("X-RateLimit-Remaining", str(allowance.remaining)),
        ("X-RateLimit-Reset", str(allowance.reset_at)),
    ]
