"""What an attempt may cost at most, before it is sent: the hold. Every guess errs upwards."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache

from app.core.catalogue import Model
from app.core.errors import Json
from app.core.frozen import frozen
from app.core.money import NANO
from app.core.styles import CHAT, Style
from app.core.styles.fields import positive

_MOST = Decimal(1000)
"""Dollars; no hold and no price is more."""
_LEAST_PRICE = Decimal("1e-15")
"""Dollars; a price between this and nothing is a broken one."""
_NOTHING = Decimal(0)
_MILLION = Decimal(1_000_000)

_BYTES_PER_TOKEN = 2
_TOKENS_PER_ATTACHMENT = 2_000
_SEARCHES = 5
_SEARCH_PRICE = Decimal("0.02")
"""Dollars for a search with Exa, where the model has no price of its own for it."""


@frozen
class Estimate:
    """What to set aside for an attempt."""

    amount: int
    """Nano-dollars."""
    priced: bool
    """False when the price is not known, and the amount the set sum."""


def hold_of(entry: Model | None, body: dict[str, Json], size: int, *, unknown: int, style: Style = CHAT) -> Estimate:
    """
    The most that an attempt may cost: no less than 0 and no more than $1000.

    `entry` is the catalogue's of the model that the attempt goes to, `body` what is sent to it (its `model` may end
    in ":online"), `size` that of the body in bytes, `unknown` the nano-dollars for a model without a known price.
    """
    try:
        terms = _terms_of(entry, body, size, style)
        return Estimate(_nanos(terms.fixed + terms.per_token * terms.tokens), True)
    except _Unknown:
        return Estimate(unknown, False)


def affordable_tokens(
    entry: Model | None, body: dict[str, Json], size: int, left: int, *, style: Style = CHAT
) -> int | None:
    """
    The max_tokens that `left` nano-dollars buy after the prompt, at most the model's own; None when nobody knows, or
    when the style has no such thing.

    The arguments are those of `hold_of`; what the body itself has as max_tokens does not matter.
    """
    try:
        terms = _terms_of(entry, body, size, style)
    except _Unknown:
        return None
    if not style.limits:
        return None
    rest = Decimal(left) / NANO - terms.fixed
    if rest < 0:
        return 0
    if not terms.per_token:
        return terms.limit
    bought = int(rest // terms.per_token)
    return bought if terms.limit is None else min(bought, terms.limit)


class _Unknown(Exception):
    """The catalogue does not tell what this costs."""


@frozen
class _Terms:
    """What one attempt is billed by, in dollars."""

    fixed: Decimal
    """For everything but the answer's tokens."""
    per_token: Decimal
    """For one more token in each of the answers."""
    limit: int | None
    """The longest answer that the model gives, in tokens."""
    asked: int | None
    """The longest answer that the app wants."""

    @property
    def tokens(self) -> int:
        """The longest answer that can come."""
        bounds = [bound for bound in (self.asked, self.limit) if bound is not None]
        if not bounds and self.per_token:
            raise _Unknown
        return min(bounds, default=0)


def _terms_of(entry: Model | None, body: dict[str, Json], size: int, style: Style) -> _Terms:
    pricing = entry.get("pricing") if entry is not None else None
    if entry is None or not isinstance(pricing, dict) or not {"prompt", "completion"} <= pricing.keys():
        raise _Unknown
    context = positive(entry.get("context_length"))
    attached = style.attached(body)
    guess = -(-max(0, size - attached.inline) // _BYTES_PER_TOKEN) + attached.count * _TOKENS_PER_ATTACHMENT
    # A longer prompt is refused or shortened, so that it cannot be billed.
    prompt_tokens = guess if context is None else min(guess, context * style.prompts(body))
    prices = [pricing, *_overrides(pricing, prompt_tokens)]
    most = _ceiling(body)
    fixed = (
        _capped(_dearest(prices, "prompt"), most.get("prompt"), _MILLION) * prompt_tokens
        + _capped(_dearest(prices, "request"), most.get("request"))
        + _capped(_dearest(prices, "image"), most.get("image")) * attached.images
    )
    if _searches(body):
        fixed += _SEARCHES * (_dearest(prices, "web_search") if "web_search" in pricing else _SEARCH_PRICE)
    completion = _capped(_dearest(prices, "completion", *_outputs(body)), most.get("completion"), _MILLION)
    return _Terms(
        fixed=fixed,
        per_token=completion * style.billed(body),
        limit=_limit(entry) or context,
        asked=max(filter(None, map(positive, map(body.get, style.limits))), default=None),
    )


def _limit(entry: Model) -> int | None:
    top = entry.get("top_provider")
    return positive(top.get("max_completion_tokens")) if isinstance(top, dict) else None


def _overrides(pricing: dict[str, Json], prompt_tokens: int) -> list[dict[str, Json]]:
    """Those that can be in force for such a prompt, at whatever time of the day."""
    overrides = pricing.get("overrides")
    return [
        override
        for override in (overrides if isinstance(overrides, list) else ())
        if isinstance(override, dict) and (positive(override.get("min_prompt_tokens")) or 0) <= prompt_tokens
    ]


def _outputs(body: dict[str, Json]) -> list[str]:
    """The prices beside "completion" that tokens of the answer may have."""
    modalities = body.get("modalities")
    wanted = modalities if isinstance(modalities, list) else ()
    return ["internal_reasoning", *(f"{kind}_output" for kind in ("image", "audio") if kind in wanted)]


def _dearest(prices: Sequence[dict[str, Json]], *kinds: str) -> Decimal:
    """The dearest of these prices; what has no price costs nothing."""
    dearest = _NOTHING
    for row in prices:
        for kind in kinds:
            if kind in row:
                dearest = max(dearest, _price(str(row[kind])))
    return dearest


@lru_cache(maxsize=4096)
def _price(text: str) -> Decimal:
    amount = _number(text)
    # Comparing is exact at any size; a broken price must not reach the arithmetic, which could overflow.
    if amount is None or not (amount == 0 or _LEAST_PRICE <= amount <= _MOST):
        raise _Unknown
    return amount


def _capped(price: Decimal, most: Json, per: Decimal = Decimal(1)) -> Decimal:
    """The price, or what the app pays at most where that is less; `most` is for `per` tokens."""
    limit = _number(most)
    return min(price, limit / per) if limit is not None and 0 <= limit <= _MOST * per else price


def _ceiling(body: dict[str, Json]) -> dict[str, Json]:
    provider = body.get("provider")
    most = provider.get("max_price") if isinstance(provider, dict) else None
    return most if isinstance(most, dict) else {}


def _searches(body: dict[str, Json]) -> bool:
    """Whether the web may be searched for this answer."""
    if body.get("web_search_options") is not None or str(body.get("model")).endswith(":online"):
        return True
    plugins, tools = body.get("plugins"), body.get("tools")
    return any(
        isinstance(plugin, dict) and plugin.get("id") == "web" and plugin.get("enabled") is not False
        for plugin in (plugins if isinstance(plugins, list) else ())
    ) or any(
        isinstance(tool, dict) and "web_search" in str(tool.get("type"))
        for tool in (tools if isinstance(tools, list) else ())
    )


def _number(value: Json) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _nanos(amount: Decimal) -> int:
    return int((min(amount, _MOST) * NANO).to_integral_value(ROUND_CEILING))
