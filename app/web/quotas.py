"""The app's quota, taken where it counts and told on every answer."""

from __future__ import annotations

from app.services.turnstile import charge
from app.web.state import Visit, app_of, calling

_KIND_OF_SCOPE = {"chat": "chat", "credits": "credits", "models": "models", "usage": "models"}


def counts(scope: str) -> bool:
    """Whether requests in this scope count."""
    return scope in _KIND_OF_SCOPE


def take(kind: str) -> None:
    """Count one request of this kind; raises RateLimited when the app has used its quota up."""
    charge(calling().quotas, app_of(), kind)


def told(here: Visit, scope: str | None) -> list[tuple[str, str]]:
    """The headers that say where the app stands, also after what counted nothing. Reset is in seconds since 1970."""
    grant = here.grant
    if grant is None:
        return []
    kind = _KIND_OF_SCOPE.get(scope or "", "models")
    allowance = here.services.quotas.look(grant.app, kind, grant.quotas.get(kind))
    return [
        ("X-RateLimit-Limit", str(allowance.limit)),
        ("X-RateLimit-Remaining", str(allowance.remaining)),
        ("X-RateLimit-Reset", str(allowance.reset_at)),
    ]
