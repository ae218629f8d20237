"""Which models a token may use, and how dear they may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from app.core.catalogue import Model, price
from app.core.errors import BadRequest, Forbidden, Json
from app.core.grants import Grant
from app.core.money import dollars, nanos

PRICES = ("prompt", "completion")
"""What a ceiling may be set for, in dollars per million tokens."""

_PATTERN = re.compile(r"[~@]?[A-Za-z0-9][A-Za-z0-9._-]*/(\*|[A-Za-z0-9][A-Za-z0-9._:@/-]*)")
_AMOUNT = re.compile(r"\d{1,6}(\.\d{1,9})?", re.ASCII)
_MILLION = 1_000_000
_DEAREST = Decimal(1_000)
"""Dollars per token; what is dearer is broken and is not put into words."""


def check_models(grant: Grant, models: Sequence[str], agent: str = "", own: Collection[str] = ()) -> None:
    """
    Raise Forbidden for the first of the models that the token may not use.

    `agent` is the agent they were called through ("agent/ID") and `own` its models: a token that names the agent may
    use them, through it and no other way.
    """
    if not grant.models:
        return
    authors = {pattern[:-2] for pattern in grant.models if pattern.endswith("/*")}
    lent = own if agent in grant.models or _is_of(authors, agent) else ()
    for model in models:
        if model not in lent and model not in grant.models and not _is_of(authors, model):
            raise Forbidden(
                f"This token may not use {model[:100]}, only {', '.join(grant.models)}. "
                "The owner changes that with: orgate token set",
                code="model_not_allowed",
                param="model",
                details={"model": model[:100], "allowed": list(grant.models)},
            )


def ceiling(grant: Grant, provider: Mapping[str, Json] | None) -> dict[str, Json] | None:
    """
    The provider.max_price to send: for each price the lower of the token's and the caller's own.

    `provider` is the caller's preferences; None when the token has no ceiling, so that they can go as they came.
    """
    if not grant.max_price:
        return None
    given = (provider or {}).get("max_price")
    own: dict[str, Json] = given if isinstance(given, dict) else {}
    return {**own, **{kind: _lower(limit, own.get(kind)) for kind, limit in grant.max_price.items()}}


def too_dear(grant: Grant, entry: Model | None) -> bool:
    """The catalogue has a price of this model that is above the token's ceiling."""
    return entry is not None and any(
        (known := price(entry, kind)) is not None and known > Decimal(limit) / _MILLION
        for kind, limit in grant.max_price.items()
    )


def under_ceiling(grant: Grant, models: tuple[str, ...], entry_of: Callable[[str], Model | None]) -> tuple[str, ...]:
    """The models that are not too dear for the token, in their order; raises Forbidden when none is left."""
    if not grant.max_price:
        return models
    left = tuple(model for model in models if not too_dear(grant, entry_of(model)))
    if left:
        return left
    prices = {model: _told_of(entry_of(model)) for model in models}
    costs = "; ".join(f"{model} costs {_told(known)}" for model, known in prices.items())
    raise Forbidden(
        f"Too dear for this token, which pays at most {_told(grant.max_price)} per million tokens: {costs}.",
        code="model_too_dear",
        param="model",
        details={"max_price": dict(grant.max_price), "prices": prices},
    )


def read_models(names: Iterable[str]) -> tuple[str, ...]:
    """The models of a token, each once; raises BadRequest for what is neither an id nor "author/*"."""
    models = tuple(dict.fromkeys(names))
    for name in models:
        if not _PATTERN.fullmatch(name):
            raise BadRequest(
                f"{name[:100]!r} names no model. Write author/model, or author/* for all of one author; "
                "orgate models lists them.",
                param="models",
            )
    return models


def read_ceiling(limits: Mapping[str, str]) -> dict[str, str]:
    """The ceiling of a token in dollars per million tokens; raises BadRequest for what is no price."""
    if set(limits) - set(PRICES) or not all(map(_AMOUNT.fullmatch, limits.values())):
        raise BadRequest(
            "A price ceiling takes dollars per million tokens for prompt and completion, such as 1 and 5.",
            param="max_price",
        )
    return dict(limits)


def _is_of(authors: set[str], model: str) -> bool:
    author, slash, name = model.partition("/")
    # A preset may bring a model of its own.
    return bool(slash) and author in authors and "@" not in name


def _lower(limit: str, own: Json) -> Json:
    try:
        amount = Decimal(str(own))
    except InvalidOperation:
        return limit
    return own if amount.is_finite() and amount <= Decimal(limit) else limit


def _told_of(entry: Model | None) -> dict[str, str]:
    known = {kind: price(entry, kind) for kind in PRICES} if entry is not None else {}
    return {
        kind: dollars(amount)
        for kind, each in known.items()
        if each is not None and each <= _DEAREST and (amount := nanos(each * _MILLION)) is not None
    }


def _told(limits: Mapping[str, str]) -> str:
    return " and ".join(f"${limit} ({kind})" for kind, limit in limits.items())
