"""The account behind every key: credits, usage, generations and the bill, in nano-dollars."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any

from app.sandbox import refusals, wire
from app.sandbox.wire import Json, dollars

CREDITS_MODES = ("normal", "forbidden", "zero")
MANAGEMENT_PREFIXES = ("sk-or-v1-mgmt", "sk-or-mgmt")


@dataclass(frozen=True)
class Generation:
    """One finished generation and what it cost."""

    id: str
    model: str
    provider: str
    key: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_nano: int
    cancelled: bool
    streamed: bool
    finish_reason: str | None
    native_finish_reason: str | None
    started_at: float
    latency_ms: int
    duration_ms: int
    headers: dict[str, str]
    ended_mono_ns: int = 0
    is_free: bool = False
    api_type: str = "completions"


@dataclass
class Settings:
    """What `POST /_sandbox/account` can change."""

    total_credits: int = 25 * wire.NANO
    total_usage: int = 7_420_000_000
    credits: str = "normal"
    key_limit: int | None = None
    generation_delay_ms: int = 300
    revoked: tuple[str, ...] = ()


class Account:
    """One account whatever the key, with the usage of each key told apart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._settings = Settings()
        self._by_key: dict[str, int] = {}
        self._generations: list[Generation] = []
        self._free_today = 0

    def reset(self) -> None:
        """Back to the figures of a fresh start."""
        with self._lock:
            self._clear()

    def admit(self, authorization: str) -> str:
        """The key in an Authorization header; refused with 401 when there is none or it is unknown."""
        key = authorization.removeprefix("Bearer ").strip()
        if not authorization:
            raise refusals.error(401, "Missing Authentication header")
        if not key.startswith("sk-or-") or any(key.endswith(end) for end in self._settings.revoked):
            raise refusals.error(401, "User not found.")
        return key

    def balance(self) -> int:
        """Nano-dollars left; below zero when overdrawn."""
        with self._lock:
            return self._settings.total_credits - self._settings.total_usage

    def bought(self) -> int:
        """Nano-dollars ever bought."""
        return self._settings.total_credits

    def key_is_spent(self, key: str) -> bool:
        """Whether the key has reached its own limit."""
        with self._lock:
            limit = self._settings.key_limit
            return limit is not None and self._by_key.get(_digest(key), 0) >= limit

    def charge(self, generation: Generation) -> None:
        """Take a generation's cost off the account and remember it."""
        with self._lock:
            self._settings.total_usage += generation.cost_nano
            name = _digest(generation.key)
            self._by_key[name] = self._by_key.get(name, 0) + generation.cost_nano
            self._free_today += generation.is_free
            self._generations.append(generation)

    def credits_view(self, key: str) -> Json:
        """The answer of `GET /credits`; ordinary keys may be told nothing, as OpenRouter has been seen to do."""
        with self._lock:
            settings = self._settings
            mode = "normal" if key.startswith(MANAGEMENT_PREFIXES) else settings.credits
            if mode == "forbidden":
                raise refusals.RefusedError(
                    403, {"error": {"code": 403, "message": "Only management keys can perform this operation"}}
                )
            if mode == "zero":
                return {"data": {"total_credits": 0, "total_usage": 0}}
            return {
                "data": {
                    "total_credits": dollars(settings.total_credits),
                    "total_usage": dollars(settings.total_usage),
                }
            }

    def key_view(self, key: str) -> Json:
        """The answer of `GET /key`: this key's own usage and limit."""
        with self._lock:
            used, limit = self._by_key.get(_digest(key), 0), self._settings.key_limit
            bought, requests = self._settings.total_credits, self._free_today
        cap = 1000 if bought >= 10 * wire.NANO else 50
        return {
            "data": {
                **_key_identity(key),
                **_key_usage(used, limit),
                "is_free_tier": bought == 0,
                "free_model_daily_requests": {"used": requests, "limit": cap, "remaining": max(0, cap - requests)},
            }
        }

    def generation(self, name: str) -> Generation | None:
        """The generation of this id, once the account has it: a moment after it ended, as at OpenRouter."""
        with self._lock:
            ready = time.monotonic_ns() - self._settings.generation_delay_ms * 1_000_000
            found = [each for each in self._generations if each.id == name and each.ended_mono_ns <= ready]
            return found[-1] if found else None

    def bill(self) -> Json:
        """Everything charged since the start or the last reset, money as decimal strings."""
        with self._lock:
            rows = [_bill_row(each) for each in self._generations]
            total = sum(each.cost_nano for each in self._generations)
            return {"total_cost": wire.plain(dollars(total)), "generations": rows}

    def view(self) -> Json:
        """The account's state, money as decimal strings."""
        with self._lock:
            now = self._settings
            return {
                "total_credits": wire.plain(dollars(now.total_credits)),
                "total_usage": wire.plain(dollars(now.total_usage)),
                "remaining": wire.plain(dollars(now.total_credits - now.total_usage)),
                "credits": now.credits,
                "key_limit": None if now.key_limit is None else wire.plain(dollars(now.key_limit)),
                "generation_delay_ms": now.generation_delay_ms,
                "revoked": list(now.revoked),
            }

    def change(self, wanted: dict[str, Any]) -> Json:
        """Set what is named, all or nothing, and return the account; ValueError names what cannot be set."""
        values: dict[str, Any] = {}
        for name, value in wanted.items():
            values[name] = _setting(name, value)
        with self._lock:
            vars(self._settings).update(values)
        return self.view()


def _setting(name: str, value: Any) -> Any:
    match name:
        case "total_credits" | "total_usage" | "key_limit":
            try:
                return None if value is None and name == "key_limit" else wire.nano(value)
            except InvalidOperation as exc:
                raise ValueError(f"{name}: not an amount in dollars") from exc
        case "credits" if value in CREDITS_MODES:
            return value
        case "generation_delay_ms" if isinstance(value, int) and value >= 0:
            return value
        case "revoked" if isinstance(value, list) and all(isinstance(end, str) and end for end in value):
            return tuple(value)
    raise ValueError(f"{name}: cannot be set to this")


def _key_identity(key: str) -> Json:
    manages = key.startswith(MANAGEMENT_PREFIXES)
    return {
        "label": f"{key[:12]}...{key[-3:]}",
        "is_management_key": manages,
        "is_provisioning_key": manages,
        "creator_user_id": "user_sandbox",
        "expires_at": None,
        "allowed_data_regions": [],
        "budgets": [],
        "effective_budget": None,
        "organization_id": None,
        "workspace_id": None,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
    }


def _key_usage(used: int, limit: int | None) -> Json:
    spent = dollars(used)
    return {
        "limit": None if limit is None else dollars(limit),
        "limit_reset": None,
        "limit_remaining": None if limit is None else dollars(max(0, limit - used)),
        "include_byok_in_limit": False,
        **dict.fromkeys(("usage", "usage_daily", "usage_weekly", "usage_monthly"), spent),
        **dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0),
    }


def _bill_row(made: Generation) -> Json:
    return {
        "id": made.id,
        "model": made.model,
        "provider": made.provider,
        "cost": wire.plain(dollars(made.cost_nano)),
        "prompt_tokens": made.prompt_tokens,
        "completion_tokens": made.completion_tokens,
        "cancelled": made.cancelled,
        "streamed": made.streamed,
        "api_type": made.api_type,
        "finish_reason": made.finish_reason,
        "created_at": datetime.fromtimestamp(made.started_at, UTC).isoformat(),
    }


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
