"""Money as whole nano-dollars: what OpenRouter bills is exact in them, and sums never drift."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

NANO = 1_000_000_000
_CEILING_DOLLARS = 1_000_000_000
"""No person's account or answer is worth more; a larger figure is a broken one."""


def nanos(value: object) -> int | None:
    """
    Nano-dollars of a dollar amount, or None when it is not an amount: a bool, not a number, not finite, absurdly large.

    Takes int, Decimal or a decimal string; halves go to the even nano-dollar. Floats are refused: parse with Decimal.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        return None
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        # Python takes more for a number than anybody who writes amounts.
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    # Comparing is exact at any size; abs() would round, and overflow on 1e9999999.
    if not amount.is_finite() or not -_CEILING_DOLLARS <= amount <= _CEILING_DOLLARS:
        return None
    return int((amount * NANO).to_integral_value())


def dollars(amount: int) -> str:
    """The amount as a decimal string without trailing zeros: 81000 -> "0.000081"."""
    text = format(Decimal(amount) / NANO, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars_if_known(amount: int | None) -> str | None:
    """The same, or None for an amount that nobody knows."""
    return None if amount is None else dollars(amount)


def json_number(amount: int | None) -> int | float | None:
    """
    The amount in dollars as a JSON number, for the answers that the document promises as numbers.

    A float leaves here and is never computed with; its shortest text is the exact decimal up to a million dollars.
    """
    if amount is None:
        return None
    return amount // NANO if amount % NANO == 0 else float(Decimal(amount) / NANO)
