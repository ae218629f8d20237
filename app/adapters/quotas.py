"""The Quotas port on Flask-Limiter."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import flask
from flask_limiter import Limiter
from limits import parse

from app.adapters.windows import WindowStorage
from app.core.ports import Allowance


class FlaskLimiterQuotas:
    """
    Moving windows: of any stretch of the quota's length, no more than its number are let through.

    Counting is done here and not by Flask-Limiter's decorators, since every attempt counts and not every request.
    """

    def __init__(self, app: flask.Flask, rates: Mapping[str, str]) -> None:
        self._limiter = Limiter(_whoever, storage_uri=f"{WindowStorage.STORAGE_SCHEME[0]}://", strategy="moving-window")
        # On an application that knows it already it sets no hooks: they would look for limits that no route has.
        app.extensions.setdefault("limiter", set()).add(self._limiter)
        self._limiter.init_app(app)
        assert isinstance(self._limiter.storage, WindowStorage)
        # Limits' own strategy around it names the same window anew for every question.
        self._windows = self._limiter.storage
        self._rates = rates
        self._limits: dict[tuple[str, str, str | None], _Limit] = {}

    def take(self, app: str, kind: str, rate: str | None) -> Allowance | None:
        """Count one more request; where the app stands if the quota is used up."""
        limit = self._limit(app, kind, rate)
        return None if self._windows.acquire_entry(*limit) else self._allowance(limit)

    def look(self, app: str, kind: str, rate: str | None) -> Allowance:
        """Where the app stands, without counting."""
        return self._allowance(self._limit(app, kind, rate))

    def _limit(self, app: str, kind: str, rate: str | None) -> _Limit:
        limit = self._limits.get((app, kind, rate))
        if limit is None:
            item = parse(rate or self._rates[kind])
            limit = self._limits[app, kind, rate] = _Limit(item.key_for(app, kind), item.amount, item.get_expiry())
        return limit

    def _allowance(self, limit: _Limit) -> Allowance:
        oldest, count = self._windows.get_moving_window(*limit)
        reset_at = oldest + limit.seconds
        wait_s = max(1, math.ceil(reset_at - time.time()))
        return Allowance(limit.amount, max(0, limit.amount - count), math.ceil(reset_at), wait_s)


class _Limit(NamedTuple):
    """The name of an app's window, how many requests it lets through, and its length."""

    key: str
    amount: int
    seconds: int


def _whoever() -> str:
    """Flask-Limiter wants to know whom it counts; here every count names its app itself."""
    return ""
