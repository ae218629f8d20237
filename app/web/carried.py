"""Which requests a process of the gateway may answer that has not everything: calls that depend on no other call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.core import idempotency, wishes
from app.core.errors import GatewayError
from app.core.ports import Tokens
from app.core.styles import STYLES
from app.web.auth import token_of

_TOGETHER = frozenset({"queue", "cache"})
"""Wishes by which calls wait for each other, or are answered with what another one brought."""


def _in_environ(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


_HEADERS = frozenset(
    _in_environ(one) for one in (idempotency.KEY.name, *(wishes.HEADERS[name].name for name in _TOGETHER))
)


class Carried:
    """Knows them by their WSGI environment."""

    def __init__(self, mounts: Iterable[str], tokens: Tokens) -> None:
        self._paths = frozenset(mount + endpoint for mount in mounts for endpoint in STYLES)
        self._tokens = tokens

    def __call__(self, environ: dict[str, Any]) -> bool:
        """Whether the request is a call that neither it nor its token wishes to be seen together with others."""
        if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] not in self._paths:
            return False
        if not _HEADERS.isdisjoint(environ):
            return False
        try:
            grant = self._tokens.verify(token_of(environ))
        except GatewayError:
            # Whoever answers it refuses it.
            return True
        return _TOGETHER.isdisjoint(grant.wishes)
