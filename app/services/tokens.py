"""Issuing and ending tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.core.budget import PERIODS
from app.core.errors import BadRequest, NotFound
from app.core.grants import APP_NAME, CONTROL, OWNER, QUOTA_KINDS, SCOPES, Grant
from app.core.policy import read_ceiling, read_models
from app.core.ports import Clock, Tokens
from app.core.wishes import read as read_wishes

DAY_S = 86_400
LONGEST_DAYS = 365
_MONTH_S = 30 * DAY_S


class TokenOffice:
    """What the owner does with tokens."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    def issue(
        self,
        app: str,
        *,
        scopes: Iterable[str] | None = None,
        days: int = LONGEST_DAYS,
        quotas: Mapping[str, str | None] | None = None,
        wishes: Mapping[str, str] | None = None,
        budgets: Mapping[str, int] | None = None,
        models: Iterable[str] = (),
        max_price: Mapping[str, str] | None = None,
        own: bool = False,
    ) -> tuple[str, Grant]:
        """
        A new token for an app, and its grant; raises BadRequest.

        Without scopes it gets all that the app may have. Budgets in nano-dollars by period, the ceiling in dollars per
        million tokens. `own` is for orgate's own tools.
        """
        if not APP_NAME.fullmatch(app):
            raise BadRequest(
                "A name has 1 to 64 letters, digits, spaces, dots, dashes or underscores, the first a letter or digit.",
                param="name",
            )
        if app == OWNER and not own:
            raise BadRequest(f"{OWNER} is the name of orgate's own tools; choose another.", param="name")
        granted = _scopes(app, scopes)
        if not 1 <= days <= LONGEST_DAYS:
            raise BadRequest(f"A token lives 1 to {LONGEST_DAYS} days.", param="days")
        read_wishes(wishes or {})
        now = int(self._clock.now())
        grant = Grant(
            id=secrets.token_hex(8),
            app=app,
            scopes=granted,
            issued_at=now,
            expires_at=now + days * DAY_S,
            quotas=_quotas(quotas or {}),
            wishes=dict(wishes or {}),
            budgets=_budgets(budgets or {}),
            models=read_models(models),
            max_price=read_ceiling(max_price or {}),
        )
        grant = self._with_limits(grant)
        return self._tokens.issue(grant), grant

    def another(self, app: str, wishes: Mapping[str, str] | None = None) -> str:
        """One more token for an app, with all that the one before it was given; the first has these wishes."""
        last = self._last(app)
        if last is None:
            return self.issue(app, wishes=wishes)[0]
        return self.issue(app, scopes=last.scopes, quotas=last.quotas, wishes=last.wishes)[0]

    def current(self, app: str, wishes: Mapping[str, str] | None = None) -> str:
        """The newest token of an app, if it still lives for a month, else another one."""
        last = self._last(app)
        if last is not None and last.expires_at > self._clock.now() + _MONTH_S:
            return self._tokens.sign(last)
        return self.another(app, wishes)

    def _last(self, app: str) -> Grant | None:
        """The newest grant of an app that was not revoked, in force or not."""
        grants = [grant for grant in self._tokens.all() if grant.app == app and grant.revoked_at is None]
        return grants[-1] if grants else None

    def _with_limits(self, grant: Grant) -> Grant:
        """A new token must not be the way around an app's limits: what it is not given it takes from the one before."""
        last = self._last(grant.app)
        if last is None:
            return grant
        return replace(
            grant,
            budgets=grant.budgets or last.budgets,
            models=grant.models or last.models,
            max_price=grant.max_price or last.max_price,
        )

    def all(self) -> list[Grant]:
        """Every grant on record, oldest first."""
        return self._tokens.all()

    def check_known(self, app: str) -> None:
        """Raise NotFound when no token was ever issued to this app."""
        if app not in {grant.app for grant in self._tokens.all()}:
            raise NotFound(f"There is no app {app[:64]!r}. See: orgate token list")

    def change(
        self,
        app: str,
        *,
        quotas: Mapping[str, str | None] | None = None,
        budgets: Mapping[str, int] | None = None,
        models: Iterable[str] | None = None,
        max_price: Mapping[str, str] | None = None,
        wishes: Mapping[str, str | None] | None = None,
    ) -> list[Grant]:
        """
        Change what all tokens in force of this app allow, and return their grants; raises NotFound, BadRequest.

        What is None stays as it is, an empty one lifts the limit, another takes the old one's place. Quotas and wishes
        are changed one by one; None as a quota gives back the gateway's own, None as a wish is none.
        """
        changed: dict[str, Any] = {}
        if budgets is not None:
            changed["budgets"] = _budgets(budgets)
        if models is not None:
            changed["models"] = read_models(models)
        if max_price is not None:
            changed["max_price"] = read_ceiling(max_price)
        given = quotas or {}
        own = _quotas(given)
        wished = wishes or {}
        new = {name: text for name, text in wished.items() if text is not None}
        read_wishes(new)

        def update(grant: Grant) -> Grant:
            others = {kind: rate for kind, rate in grant.quotas.items() if kind not in given}
            kept = {name: text for name, text in grant.wishes.items() if name not in wished}
            return replace(grant, quotas={**others, **own}, wishes={**kept, **new}, **changed)

        now = self._clock.now()
        ids = frozenset(
            grant.id
            for grant in self._tokens.all()
            if grant.app == app and grant.revoked_at is None and grant.expires_at > now
        )
        if not ids:
            raise NotFound(f"No token in force has the app {app[:64]!r}. See: orgate token list")
        return self._tokens.change(ids, update)

    def revoke(self, name: str) -> list[Grant]:
        """End every token of this app, or the one with this id; raises NotFound when there is none left to end."""
        ended = [grant for grant in self._tokens.all() if name in (grant.app, grant.id) and grant.revoked_at is None]
        if not ended:
            raise NotFound(f"No token in force has the app or the id {name[:64]!r}. See: orgate token list")
        self._tokens.revoke(frozenset(grant.id for grant in ended), int(self._clock.now()))
        return ended


def _scopes(app: str, wanted: Iterable[str] | None) -> frozenset[str]:
    """The scopes wanted, all if None; CONTROL is for the owner's own tools alone."""
    allowed = (*SCOPES, CONTROL) if app == OWNER else SCOPES
    scopes = frozenset(allowed if wanted is None else wanted)
    unknown = sorted(scopes - set(allowed))
    if unknown:
        raise BadRequest(f"There is no scope {unknown[0]!r}; scopes are {', '.join(SCOPES)}.", param="scope")
    return scopes


def _quotas(quotas: Mapping[str, str | None]) -> dict[str, str]:
    unknown = sorted(set(quotas) - set(QUOTA_KINDS))
    if unknown:
        raise BadRequest(f"There is no quota {unknown[0]!r}; quotas are {', '.join(QUOTA_KINDS)}.", param="quotas")
    return {kind: rate for kind, rate in quotas.items() if rate is not None}


def _budgets(budgets: Mapping[str, int]) -> dict[str, int]:
    for period, limit in budgets.items():
        if period not in PERIODS or limit < 0:
            raise BadRequest(
                f"A budget is an amount per period, and the periods are {', '.join(PERIODS)}.", param="budgets"
            )
    return dict(budgets)
