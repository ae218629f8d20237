"""Issuing and ending tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from app.core.errors import BadRequest, NotFound
from app.core.grants import APP_NAME, OWNER, QUOTA_KINDS, SCOPES, Grant
from app.core.ports import Clock, Tokens
from app.core.wishes import read as read_wishes

DAY_S = 86_400
LONGEST_DAYS = 365


class TokenOffice:
    """What the owner does with tokens."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    def issue(
        self,
        app: str,
        *,
        scopes: Iterable[str] = SCOPES,
        days: int = LONGEST_DAYS,
        quotas: Mapping[str, str] | None = None,
        wishes: Mapping[str, str] | None = None,
        own: bool = False,
    ) -> tuple[str, Grant]:
        """A new token for an app, and its grant; raises BadRequest. `own` is for orgate's own tools."""
        if not APP_NAME.fullmatch(app):
            raise BadRequest(
                "A name has 1 to 64 letters, digits, spaces, dots, dashes or underscores, the first a letter or digit.",
                param="name",
            )
        if app == OWNER and not own:
            raise BadRequest(f"{OWNER} is the name of orgate's own tools; choose another.", param="name")
        unknown = sorted(set(scopes) - set(SCOPES)) + sorted(set(quotas or ()) - set(QUOTA_KINDS))
        if unknown:
            raise BadRequest(
                f"There is no scope or quota {unknown[0]!r}; scopes are {', '.join(SCOPES)}.", param="scope"
            )
        if not 1 <= days <= LONGEST_DAYS:
            raise BadRequest(f"A token lives 1 to {LONGEST_DAYS} days.", param="days")
        read_wishes(wishes or {})
        now = int(self._clock.now())
        grant = Grant(
            id=secrets.token_hex(8),
            app=app,
            scopes=frozenset(scopes),
            issued_at=now,
            expires_at=now + days * DAY_S,
            quotas=dict(quotas or {}),
            wishes=dict(wishes or {}),
        )
        return self._tokens.issue(grant), grant

    def all(self) -> list[Grant]:
        """Every grant on record, oldest first."""
        return self._tokens.all()

    def revoke(self, name: str) -> list[Grant]:
        """End every token of this app, or the one with this id; raises NotFound when there is none left to end."""
        ended = [grant for grant in self._tokens.all() if name in (grant.app, grant.id) and grant.revoked_at is None]
        if not ended:
            raise NotFound(f"No token in force has the app or the id {name[:64]!r}. See: orgate token list")
        self._tokens.revoke(frozenset(grant.id for grant in ended), int(self._clock.now()))
        return ended
