"""The app's quota, taken where it counts and told on every answer."""

from __future__ import annotations

import flask

from app.core.errors import RateLimited
from app.web.state import app_of, services, visit

_KIND_OF_SCOPE = {"chat": "chat", "credits": "credits", "models": "models", "usage": "models"}


def take(kind: str) -> None:
    """Count one request of this kind; raises RateLimited when the app has used its quota up."""
    grant = app_of()
    allowance = services().quotas.take(grant.app, kind, grant.quotas.get(kind))
    visit().allowance = allowance
    if not allowance.granted:
        raise RateLimited(
            f"The quota of {allowance.limit} {kind} requests is used up; try again in {allowance.retry_after_s} s.",
            code="quota_exceeded",
            retry_after_s=allowance.retry_after_s,
            should_retry=True,
        )


def tell(response: flask.Response, scope: str | None) -> None:
    """Write where the app stands; a request that counted nothing is told too. Reset is in seconds since 1970."""
    here = visit()
    allowance = here.allowance
    if allowance is None and here.grant is not None:
        kind = _KIND_OF_SCOPE.get(scope or "", "models")
        allowance = services().quotas.look(here.grant.app, kind, here.grant.quotas.get(kind))
    if allowance is not None:
        response.headers["X-RateLimit-Limit"] = str(allowance.limit)
        response.headers["X-RateLimit-Remaining"] = str(allowance.remaining)
        response.headers["X-RateLimit-Reset"] = str(allowance.reset_at)
