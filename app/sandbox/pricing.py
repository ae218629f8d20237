"""What a call costs: catalogue prices, their overrides, and exact sums in nano-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from app.sandbox.wire import NANO, Json


@dataclass(frozen=True)
class Price:
    """Dollars per token."""

    prompt: Decimal
    completion: Decimal

    def prompt_cost(self, tokens: int) -> int:
        """Nano-dollars for a prompt."""
        return _nano(self.prompt * tokens)

    def completion_cost(self, tokens: int) -> int:
        """Nano-dollars for an answer."""
        return _nano(self.completion * tokens)

    def affordable(self, nano: int) -> int:
        """How many answer tokens this much money buys."""
        return 0 if not self.completion else max(0, int(Decimal(nano) / (self.completion * NANO)))


def price_at(pricing: Json, prompt_tokens: int, at: datetime) -> Price:
    """
    The price in force for a prompt of this size at this UTC moment.

    Later overrides win, and what an override does not name it inherits (OpenRouter docs, Models).
    """
    values = dict(pricing)
    for override in pricing.get("overrides", ()):
        if _applies(override, prompt_tokens, at):
            values.update(override)
    return Price(max(Decimal(0), Decimal(values["prompt"])), max(Decimal(0), Decimal(values["completion"])))


def _applies(override: Json, prompt_tokens: int, at: datetime) -> bool:
    if prompt_tokens < override.get("min_prompt_tokens", 0):
        return False
    if "utc_start" not in override:
        return True
    now, start, end = at.hour * 100 + at.minute, override["utc_start"], override["utc_end"]
    if start <= end:
        return bool(start <= now < end)
    return bool(now >= start or now < end)


def _nano(amount: Decimal) -> int:
    return int((amount * NANO).to_integral_value(ROUND_HALF_UP))
