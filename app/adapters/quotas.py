"""The Quotas port on Flask-Limiter."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import flask
from flask_limiter import Limiter
from limits import RateLimitItem, parse

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
        self._rates = {kind: parse(rate) for kind, rate in rates.items()}
        self._own: dict[str, RateLimitItem] = {}

    def take(self, app: str, kind: str, rate: str | None) -> Allowance | None:
        """Count one more request; where the app stands if the quota is used up."""
        item = self._item(kind, rate)
        return None if self._limiter.limiter.hit(item, app, kind) else self._allowance(item, app, kind)

    def look(self, app: str, kind: str, rate: str | None) -> Allowance:
        """Where the app stands, without counting."""
        return self._allowance(self._item(kind, rate), app, kind)

    def _item(self, kind: str, rate: str | None) -> RateLimitItem:
        if rate is None:
            return self._rates[kind]
        if rate not in self._own:
            self._own[rate] = parse(rate)
        return self._own[rate]

    def _allowance(self, item: RateLimitItem, app: str, kind: str) -> Allowance:
        stats = self._limiter.limiter.get_window_stats(item, app, kind)
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        return Allowance(item.amount, max(0, stats.remaining), math.ceil(stats.reset_time), wait_s)


def _whoever() -> str:
    """Flask-Limiter wants to know whom it counts; here every count names its app itself."""
    return ""
