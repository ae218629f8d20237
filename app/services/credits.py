"""The balance: OpenRouter's figures kept fresh, with our own spending since then already taken off."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass

from app.core import balance
from app.core.balance import Figures
from app.core.errors import GatewayError, Json, UpstreamFailed
from app.core.meter import parse
from app.core.money import NANO, dollars
from app.core.ports import Cache, Clock, Events, Upstream, Vault
from app.core.refusals import refusal
from app.services.kept import Kept

_HEAVY_SHARE = 100
"""Spending more than one part in this many of the rest makes the figures too old to show."""

_HEAVY_AMOUNT = NANO // 2
_MOST_SPENDINGS = 10_000


@dataclass(frozen=True)
class Balance:
    """The figures as of now."""

    figures: Figures
    fetched_at: float
    """Seconds since 1970 when OpenRouter was asked."""
    age_s: float
    stale: bool
    estimated: bool
    """Our own spending since the fetch has been subtracted."""


class Credits:
    """What is left on the account and on the key."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        vault: Vault,
        cache: Cache,
        clock: Clock,
        events: Events,
        ttl_ms: int,
        management_key: str | None,
        low_marks: tuple[int, ...],
    ) -> None:
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._events = events
        self._management_key = management_key
        self._low_marks = low_marks
        self._low_told: int | None = None
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_sum = 0
        self._spent_lock = threading.Lock()
        self.kept = Kept(self._cache_name, self._fetch, ttl_ms=ttl_ms, cache=cache, clock=clock, events=events)

    def get(self, *, force: bool = False, max_wait_s: float = 90.0) -> Balance:
        """The balance as of now; raises GatewayError when OpenRouter never told it."""
        value = self.kept.get(force=force, max_wait_s=max_wait_s)
        figures = balance.unpack(json.loads(value.body))
        spent = self._spent_since(value.fetched_at)
        return Balance(figures.after(spent), value.fetched_at, value.age_s, value.stale, estimated=spent > 0)

    def spent(self, amount: int) -> None:
        """Take note that a call cost this many nano-dollars; heavy use has the figures fetched again."""
        with self._spent_lock:
            self._spent.append((self._clock.now(), amount))
            self._spent_sum += amount
            if len(self._spent) > _MOST_SPENDINGS:
                # Without figures from OpenRouter nothing is ever taken off: the two oldest become one.
                (_, first), (at, second) = self._spent.popleft(), self._spent.popleft()
                self._spent.appendleft((at, first + second))
        value = self.kept.peek()
        if value is None:
            return
        remaining = balance.unpack(json.loads(value.body)).remaining
        since = self._spent_since(value.fetched_at)
        if since > _HEAVY_AMOUNT or (remaining is not None and since * _HEAVY_SHARE > max(remaining, 0)):
            self.kept.refresh()

    def remaining(self) -> int | None:
        """What is left by the figures at hand, in nano-dollars, without asking anybody; None when it is not known."""
        value = self.kept.peek()
        if value is None:
            return None
        figures = balance.unpack(json.loads(value.body))
        return figures.after(self._spent_since(value.fetched_at)).remaining

    def doubtful(self) -> None:
        """OpenRouter refused for want of money: the figures are older than the truth."""
        self.kept.refresh()

    def _cache_name(self) -> str:
        return "credits:" + hashlib.sha256(self._vault.key().encode()).hexdigest()[:16]

    def _spent_since(self, fetched_at: float) -> int:
        with self._spent_lock:
            while self._spent and self._spent[0][0] < fetched_at:
                self._spent_sum -= self._spent.popleft()[1]
            return self._spent_sum

    def _fetch(self) -> bytes:
        key = self._vault.key()
        account = self._ask("/credits", self._management_key or key, unknown=(403, 404, 410))
        try:
            of_key = self._ask("/key", key, unknown=())
        except GatewayError as error:
            # The balance alone is worth telling; without it, and with a refused key, there is nothing to tell.
            if error.status == 401 or balance.combine(account, None) is None:
                raise
            of_key = None
        figures = balance.combine(account, of_key)
        if figures is None:
            raise UpstreamFailed("OpenRouter's account figures make no sense.", code="upstream_protocol_error")
        self._tell(figures)
        return json.dumps(balance.pack(figures)).encode()

    def _ask(self, path: str, key: str, unknown: tuple[int, ...]) -> Json:
        status, body = self._upstream.get(path, key=key)
        if status in unknown:
            return None
        answer = parse(body)
        if status != 200:
            raise refusal(status, {}, body, self._clock.now())
        if not isinstance(answer, dict):
            raise UpstreamFailed(f"OpenRouter's {path} is not JSON.", code="upstream_protocol_error")
        return answer

    def _tell(self, figures: Figures) -> None:
        """The document's "Credit Monitoring": the figures to the log, and a warning the first time they are low."""
        remaining, total, used = figures.remaining, figures.total, figures.used
        shown = {
            "total": _dollars(total),
            "remaining": _dollars(remaining),
            "used": _dollars(used),
            "percentage": round(used * 100 / total, 2) if total and used is not None else None,
            "source": figures.source,
        }
        self._events.note("credits.status", **shown)
        mark = min((mark for mark in self._low_marks if remaining is not None and remaining < mark), default=None)
        if mark is not None and (self._low_told is None or mark < self._low_told):
            self._events.warn("credits.low", below=dollars(mark), **shown)
        self._low_told = mark


def _dollars(amount: int | None) -> str | None:
    return None if amount is None else dollars(amount)
