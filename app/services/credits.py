"""The balance: OpenRouter's figures kept fresh, with our own spending since then already taken off."""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import suppress

from app.core import balance
from app.core.balance import Figures
from app.core.errors import GatewayError, Json, Unavailable, UpstreamFailed
from app.core.forecast import Forecast
from app.core.frozen import frozen
from app.core.meter import parse
from app.core.money import NANO
from app.core.ports import Cache, Clock, Events, Ledger, Upstream, Vault
from app.core.redact import fingerprint
from app.core.refusals import refusal
from app.services.kept import Dated, Found, Kept
from app.services.monitor import Monitor
from app.services.pace import Pace

_HEAVY_SHARE = 100
"""Spending more than one part in this many of the rest makes the figures too old to show."""

_HEAVY_AMOUNT = NANO // 2
_MOMENT_S = 0.1
"""So long nobody looks again whether OpenRouter may be asked again already."""

_MOST_SPENDINGS = 10_000
_PREFIX = "credits:"


@frozen
class Balance:
    """The figures as of now."""

    figures: Figures
    fetched_at: float
    """Seconds since 1970 when OpenRouter was asked."""
    age_s: float
    stale: bool
    estimated: bool
    """Our own spending since the fetch has been subtracted."""


@frozen
class _Calm:
    """With these figures, kept under this name, nothing is to be done for a while."""

    name: str
    figures: Figures
    most: int
    """Until more than so much is spent, in nano-dollars."""
    until: float
    """Nor longer than this, by the monotonic clock in seconds."""


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
        ledger: Ledger,
        ttl_ms: int,
        management_key: str | None,
        low_marks: tuple[int, ...],
    ) -> None:
        self._upstream = upstream
        self._vault = vault
        self._clock = clock
        self._management_key = management_key
        self._pace = Pace(ledger, clock, events)
        self._monitor = Monitor(
            facts=ledger, forecast=self._pace.forecast, clock=clock, events=events, low_marks=low_marks
        )
        self._decoded: tuple[bytes, Figures] | None = None
        self._calm: _Calm | None = None
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_sum = 0
        self._spent_lock = threading.Lock()
        self.kept = Kept(self._cache_name, self._fetch, ttl_ms=ttl_ms, cache=cache, clock=clock, events=events)

    def get(self, *, force: bool = False, max_wait_s: float = 90.0) -> Balance:
        """The balance as of now; raises GatewayError when OpenRouter never told it."""
        return self._as_of_now(self.kept.get(force=force, max_wait_s=max_wait_s))

    def peek(self) -> Balance | None:
        """The balance by the figures at hand, without asking anybody; None when there are none."""
        value = self.kept.peek()
        return None if value is None else self._as_of_now(value)

    def told(self, *, force: bool = False) -> tuple[Figures, float]:
        """OpenRouter's own figures, nothing taken off, and when it was asked for them; raises GatewayError."""
        value = self.kept.get(force=force)
        return self._decode(value.body), value.fetched_at

    def remaining(self) -> int | None:
        """What is left by the figures at hand, in nano-dollars; None when it is not known."""
        balance = self.peek()
        return None if balance is None else balance.figures.remaining

    def forecast(self, remaining: int | None) -> Forecast:
        """The pace of spending, and when so many nano-dollars end."""
        return self._pace.forecast(remaining)

    def spent(self, amount: int, at: float | None = None) -> None:
        """
        Take note that a call cost this many nano-dollars; heavy use has the figures fetched again.

        `at` is when it was over, in seconds since 1970, if that was not just now: figures from later contain it.
        """
        with self._spent_lock:
            self._note(self._clock.now() if at is None else at, amount)
            if len(self._spent) > _MOST_SPENDINGS:
                # Without figures from OpenRouter nothing is ever taken off: the two oldest become one.
                (_, first), (at, second) = self._spent.popleft(), self._spent.popleft()
                self._spent.appendleft((at, first + second))
        with suppress(Unavailable):
            # Without a key there are no figures to take it from.
            self._look()

    def _note(self, at: float, amount: int) -> None:
        place = len(self._spent)
        while place and self._spent[place - 1][0] > at:
            place -= 1
        self._spent.insert(place, (at, amount))
        self._spent_sum += amount

    def doubtful(self) -> None:
        """OpenRouter refused the key, or for want of money: the figures are older than the truth."""
        self.kept.refresh()

    def _look(self) -> None:
        value = self.kept.at_hand()
        if value is None:
            return
        told, since = self._decode(value.body), self._spent_since(value.fetched_at)
        if self._is_calm(value, told, since):
            return
        key_id, figures = value.name.removeprefix(_PREFIX), told.after(since)
        room = self._monitor.look(key_id, figures)
        much = _HEAVY_AMOUNT if told.remaining is None else min(_HEAVY_AMOUNT, max(told.remaining, 0) // _HEAVY_SHARE)
        until = float("inf")
        if since > much:
            # New figures are on their way; where they do not come, they are asked for again after a tenth of it.
            until = until if self.kept.refresh() else self._clock.monotonic() + _MOMENT_S
            much = since + much // 10
        self._calm = _Calm(value.name, told, min((much, *(since + each for each in room))), until)

    def _is_calm(self, value: Found, told: Figures, since: int) -> bool:
        calm = self._calm
        if calm is None or calm.figures is not told or calm.name != value.name or since > calm.most:
            return False
        return self._clock.monotonic() < calm.until

    def _cache_name(self) -> str:
        return _PREFIX + fingerprint(self._vault.key())

    def _as_of_now(self, value: Dated) -> Balance:
        spent = self._spent_since(value.fetched_at)
        figures = self._decode(value.body).after(spent)
        return Balance(figures, value.fetched_at, value.age_s, value.stale, estimated=spent > 0)

    def _decode(self, body: bytes) -> Figures:
        decoded = self._decoded
        if decoded is None or decoded[0] != body:
            decoded = self._decoded = (body, balance.unpack(json.loads(body)))
        return decoded[1]

    def _spent_since(self, fetched_at: float) -> int:
        with self._spent_lock:
            while self._spent and self._spent[0][0] < fetched_at:
                self._spent_sum -= self._spent.popleft()[1]
            return self._spent_sum

    def _spent_meanwhile(self, asked_at: float) -> int:
        """The same for figures that are not in use yet."""
        with self._spent_lock:
            return sum(amount for at, amount in self._spent if at >= asked_at)

    def _fetch(self) -> bytes:
        key, asked_at = self._vault.key(), self._clock.now()
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
        before = self.kept.peek()
        self._monitor.fetched(figures, None if before is None else self._decode(before.body))
        self._monitor.look(fingerprint(key), figures.after(self._spent_meanwhile(asked_at)))
        # What is left may have risen, and what was warned of be due again.
        self._calm = None
        return json.dumps(balance.pack(figures)).encode()

    def _ask(self, path: str, key: str, unknown: tuple[int, ...]) -> Json:
        status, body = self._upstream.get(path, key=key)
        if status in unknown:
            return None
        answer = parse(body)
        if status != 200:
            if status == 401:
                self._monitor.refused(fingerprint(key), "management key" if key == self._management_key else "key")
            raise refusal(status, {}, body, self._clock.now())
        if not isinstance(answer, dict):
            raise UpstreamFailed(f"OpenRouter's {path} is not JSON.", code="upstream_protocol_error")
        return answer
