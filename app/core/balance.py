"""What is left, from OpenRouter's two accounts of it; what neither knows is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from app.core.errors import Json
from app.core.frozen import frozen
from app.core.money import nanos


@frozen
class KeyFigures:
    """What OpenRouter's /key says of the gateway's key. Money in nano-dollars."""

    label: str | None
    used: int | None
    limit: int | None
    limit_remaining: int | None
    limit_reset: str | None
    is_free_tier: bool | None
    rate_limit: dict[str, Json] | None
    free_requests: dict[str, int | None] | None = None
    """Requests to free models today, of the whole account: "used", "limit" and "remaining"."""


@frozen
class Figures:
    """The account's money, in nano-dollars, and where the figures come from."""

    source: str
    """ "credits" when the account's balance is known, "key" when only the key's own usage is."""
    total: int | None
    used: int | None
    key: KeyFigures | None

    @property
    def remaining(self) -> int | None:
        """What is left on the account; negative when it is overdrawn. A key's cap is no balance."""
        return None if self.total is None or self.used is None else self.total - self.used

    @property
    def exhausted(self) -> bool:
        """True only when nothing can be paid for certain: the balance, or what the key may still spend, is gone."""
        cap = self.key.limit_remaining if self.key else None
        return any(left is not None and left <= 0 for left in (self.remaining, cap))

    def after(self, spent: int) -> Figures:
        """The figures once this much more, in nano-dollars, was spent with the key."""
        if not spent:
            return self
        key = self.key and replace(
            self.key, used=_plus(self.key.used, spent), limit_remaining=_plus(self.key.limit_remaining, -spent)
        )
        return replace(self, used=_plus(self.used, spent), key=key)


def combine(credits_answer: Json, key_answer: Json) -> Figures | None:
    """
    The figures in the bodies of /credits and /key, either of which may be missing (None); None when both say nothing.

    OpenRouter answers 0/0 on /credits to ordinary keys of funded accounts: that is "unknown", not "empty".
    """
    account, key = _data(credits_answer), _key_figures(_data(key_answer))
    total, used = nanos(account.get("total_credits")), nanos(account.get("total_usage"))
    if total is not None and used is not None and (total, used) != (0, 0):
        return Figures("credits", total, used, key)
    return Figures("key", None, None, key) if key is not None else None


def pack(figures: Figures) -> dict[str, Json]:
    """The figures as plain JSON, to be kept."""
    return asdict(figures)


def unpack(value: Mapping[str, Json]) -> Figures:
    """The figures that `pack` made this of."""
    key = value["key"]
    return Figures(value["source"], value["total"], value["used"], KeyFigures(**key) if key else None)


def _key_figures(data: Mapping[str, Json]) -> KeyFigures | None:
    used = nanos(data.get("usage"))
    if used is None and "label" not in data:
        return None
    free_tier, rate_limit = data.get("is_free_tier"), data.get("rate_limit")
    return KeyFigures(
        label=_text(data.get("label")),
        used=used,
        limit=nanos(data.get("limit")),
        limit_remaining=nanos(data.get("limit_remaining")),
        limit_reset=_text(data.get("limit_reset")),
        is_free_tier=free_tier if isinstance(free_tier, bool) else None,
        rate_limit=_rate_limit(rate_limit) if isinstance(rate_limit, dict) else None,
        free_requests=_free_requests(data.get("free_model_daily_requests")),
    )


def _rate_limit(value: Mapping[str, Json]) -> dict[str, Json]:
    requests, interval = value.get("requests"), value.get("interval")
    return {"requests": requests if isinstance(requests, int) else None, "interval": _text(interval)}


def _free_requests(value: Json) -> dict[str, int | None] | None:
    if not isinstance(value, dict):
        return None
    counts = {name: _whole(value.get(name)) for name in ("used", "limit", "remaining")}
    return counts if any(each is not None for each in counts.values()) else None


def _data(answer: Json) -> Mapping[str, Json]:
    data = answer.get("data") if isinstance(answer, dict) else None
    return data if isinstance(data, dict) else {}


def _text(value: Json) -> str | None:
    return value[:256] if isinstance(value, str) else None


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9 else None


def _plus(amount: int | None, more: int) -> int | None:
    return None if amount is None else amount + more
