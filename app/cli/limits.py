"""The limits of a token as they are written on the command line, and as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.output import MISUSED, Failure
from app.core.grants import QUOTA_KINDS

if TYPE_CHECKING:
    from app.core.grants import Grant

_F = TypeVar("_F", bound=Callable[..., Any])
_SHOWN_MODELS = 2

_RATES = tuple(f"rate_{kind}" for kind in QUOTA_KINDS)
NAMES = (*_RATES, "budgets", "models", "max_price")
"""The parameters that `given` adds to a command."""


def given(command: _F) -> _F:
    """Adds the options that set limits."""
    options = [
        click.option("--rate-chat", metavar="QUOTA", help='Its own quota, such as "60 per minute", or "default".'),
        click.option("--rate-credits", metavar="QUOTA", help="As above."),
        click.option("--rate-models", metavar="QUOTA", help="As above."),
        click.option(
            "--budget",
            "budgets",
            metavar="BUDGET",
            multiple=True,
            help='What it may spend, such as 5/day; also /week, /month, /total, once each. Or "none".',
        ),
        click.option(
            "--models",
            metavar="MODELS",
            help='The only models it may use, such as "openai/gpt-4o,qwen/*,agent/helper". Or "all".',
        ),
        click.option(
            "--max-price",
            metavar="PRICE",
            help='The dearest model it may use in $ per million tokens: 3, or prompt,completion as in 1,5. Or "none".',
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def read(values: Mapping[str, Any]) -> dict[str, Any]:  # values of click options, and arguments of the TokenOffice
    """What was given, as the TokenOffice takes it; empty for a limit to be lifted. Ends the command when it cannot."""
    rates = {kind: values[name] for kind, name in zip(QUOTA_KINDS, _RATES, strict=True) if values[name] is not None}
    found: dict[str, Any] = {"quotas": _quotas(rates)} if rates else {}
    if values["budgets"]:
        found["budgets"] = {} if values["budgets"] == ("none",) else _budgets(values["budgets"])
    if values["models"] is not None:
        found["models"] = () if values["models"] == "all" else _models(values["models"])
    if values["max_price"] is not None:
        found["max_price"] = {} if values["max_price"] == "none" else _max_price(values["max_price"])
    return found


def shape(grant: Grant) -> dict[str, object]:
    """The limits for programs; budgets and prices in dollars, prices per million tokens. Empty is no limit."""
    from app.core.money import dollars

    return {
        "budgets": {period: dollars(limit) for period, limit in grant.budgets.items()},
        "models": list(grant.models),
        "max_price": dict(grant.max_price),
    }


def told(grant: Grant) -> str:
    """The limits for people, in short; empty when there are none."""
    from app.core.budget import Budget

    budgets = ", ".join(f"${Budget(period, limit).told()}" for period, limit in grant.budgets.items())
    more = len(grant.models) - _SHOWN_MODELS
    models = ", ".join([*grant.models[:_SHOWN_MODELS], *([f"{more} more"] if more > 0 else [])])
    prices = "/".join(f"${limit}" for limit in grant.max_price.values())
    return "; ".join(filter(None, [budgets, models, prices and f"at most {prices} per M"]))


def _quotas(texts: Mapping[str, str]) -> dict[str, str | None]:
    from app.settings.readers import rate

    try:
        return {kind: None if text == "default" else rate(text) for kind, text in texts.items()}
    except ValueError as error:
        raise Failure(f"A quota {error}.", MISUSED) from None


def _budgets(texts: Sequence[str]) -> dict[str, int]:
    from app.core.budget import Budget

    try:
        budgets = [Budget.parse(text) for text in texts]
    except ValueError as error:
        raise Failure(f"A budget {error}.", MISUSED) from None
    found = {budget.period: budget.limit for budget in budgets}
    if len(found) < len(budgets):
        raise Failure("There are two budgets for the same period; give one.", MISUSED)
    return found


def _models(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise Failure('--models takes models separated by commas, or "all".', MISUSED)
    return found


def _max_price(text: str) -> dict[str, str]:
    prompt, comma, completion = (part.strip().removeprefix("$") for part in text.partition(","))
    return {"prompt": prompt, "completion": completion if comma else prompt}
