"""The app's quota, taken where it counts and told on every answer."""

from __future__ import annotations

import flask

from app.services.turnstile import charge
from app.web.state import app_of, services, visit

_KIND_OF_SCOPE = {"chat": "chat", "credits": "credits", "models": "models", "usage": "models"}


def counts(scope: str) -> bool:
    """Whether requests in this scope count."""
    return scope in _KIND_OF_SCOPE


def take(kind: str) -> None:
    """Count one request of this kind; raises RateLimited when the app has used its quota up."""
    charge(services().quotas, app_of(), kind)


def tell(response: flask.Response, scope: str | None) -> None:
    """Write where the app stands; a request that counted nothing is told too. Reset is in seconds since 1970."""
    grant = visit().grant
    if grant is not None:
        kind = _KIND_OF_SCOPE.get(scope or "", "models")
        allowance = services().quotas.look(grant.app, kind, grant.quotas.get(kind))
        response.headers["X-RateLimit-Limit"] = str(allowance.limit)
        response.headers["X-RateLimit-Remaining"] = str(allowance.remaining)
        response.headers["X-RateLimit-Reset"] = str(allowance.reset_at)
