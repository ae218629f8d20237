"""Who asks, and whether they may: a table of every route and the scope it needs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from app.core.errors import Forbidden, GatewayError, Unauthenticated
from app.core.grants import CONTROL, Grant
from app.web.state import Visit

OPEN = ""
SCOPE_OF = {
    "proxy.chat_completions": "chat",
    "proxy.messages": "chat",
    "proxy.count_tokens": "chat",
    "proxy.responses": "chat",
    "proxy.completions": "chat",
    "proxy.embeddings": "chat",
    "credits.credits": "credits",
    "models.models": "models",
    "agents.agents": "models",
    "lookups.key": "credits",
    "lookups.generation": "usage",
    "lookups.endpoints": "models",
    "model.model": "models",
    "calls.call": "usage",
    "events.events": "usage",
    "usage.usage": "usage",
    "metrics.metrics": "usage",
    "control.pause": CONTROL,
    "control.resume": CONTROL,
    "control.end": CONTROL,
    "control.reconcile": CONTROL,
    "control.ledger": CONTROL,
    "control.ledger_trim": CONTROL,
    "control.ledger_accept": CONTROL,
    "health.health": OPEN,
    "health.alive": OPEN,
    "openapi.openapi": "models",
}
"""View → scope. What does not stand here is refused, and a test fails for it."""


@functools.cache
def view_of(endpoint: str | None) -> str:
    """The blueprint and the view of an endpoint, whatever address the blueprint is mounted at."""
    return ".".join((endpoint or "").split(".")[-2:])


def scope_of(endpoint: str | None) -> str | None:
    """The scope that a route needs; None for one that lets nobody in."""
    return SCOPE_OF.get(view_of(endpoint))


def known(here: Visit) -> Grant | None:
    """The grant of a good token on an open route; None for anybody else."""
    token = token_of(here.environ)
    if not token:
        return None
    try:
        return here.services.tokens.verify(token)
    except GatewayError:
        return None


def identify(here: Visit) -> Grant:
    """The grant of the token that came; raises Unauthenticated."""
    token = token_of(here.environ)
    if not token:
        raise Unauthenticated(
            "A token is missing: send the header Authorization: Bearer <token>. Get one with: orgate token issue NAME",
            code="missing_token",
        )
    if token.startswith("sk-or-"):
        raise Unauthenticated(
            "That is an OpenRouter key. The key stays with the gateway; programs get a token of their own with: "
            "orgate token issue NAME",
            code="key_instead_of_token",
        )
    return here.services.tokens.verify(token)


def authorise(scope: str | None, grant: Grant | None) -> None:
    """Let the grant through to what needs this scope or raise Forbidden; what needs None lets nobody in."""
    if scope == OPEN:
        return
    if scope is None or grant is None or scope not in grant.scopes:
        if scope == CONTROL:
            raise Forbidden("Only orgate's own command line and tray may do this.", code="missing_scope")
        raise Forbidden(
            f"This token lacks the scope {scope!r}. Issue one with: orgate token issue NAME --scope {scope}",
            code="missing_scope",
        )


def token_of(environ: Mapping[str, Any]) -> str:
    """The token that came with a request of WSGI's, as a bearer or as x-api-key; "" when none did."""
    kind, _, token = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if token and kind.lower() == "bearer":
        return str(token).strip()
    return environ.get("HTTP_X_API_KEY", "").strip() if not kind else ""
