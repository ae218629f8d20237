from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core.money import NANO, dollars, json_number, nanos
from tests.core.quick import quick

MOST = 10**9 * NANO

amounts = st.integers(-MOST, MOST)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param(0, 0, id="nothing"),
        pytest.param(25, 25 * NANO, id="whole dollars"),
        pytest.param(Decimal("100.5"), 100_500_000_000, id="decimal"),
        pytest.param("0.000081", 81_000, id="text"),
        pytest.param(Decimal("4.8e-05"), 48_000, id="exponent"),
        pytest.param(-3, -3 * NANO, id="overdrawn"),
        pytest.param(Decimal("0.0000000005"), 0, id="half to even, down"),
        pytest.param(Decimal("0.0000000015"), 2, id="half to even, up"),
        pytest.param(Decimal("1e-9999999"), 0, id="next to nothing"),
        pytest.param(10**9, MOST, id="the most"),
        pytest.param(10**9 + 1, None, id="too much"),
        pytest.param(Decimal("-1000000000.01"), None, id="too little"),
        pytest.param(Decimal("1e308"), None, id="1e308"),
        pytest.param(Decimal("1e9999999"), None, id="1e9999999"),
        pytest.param(Decimal("-1e9999999"), None, id="-1e9999999"),
        pytest.param(10**4000, None, id="4000 digits"),
        pytest.param("1e9999999", None, id="1e9999999 as text"),
        pytest.param(0.1, None, id="float"),
        pytest.param(True, None, id="bool"),
        pytest.param(None, None, id="null"),
        pytest.param("", None, id="empty text"),
        pytest.param("five", None, id="word"),
        pytest.param("$5", None, id="dollar sign"),
        pytest.param("1_000", None, id="Python's underscore"),
        pytest.param("\uff15", None, id="wide digit"),
        pytest.param(Decimal("NaN"), None, id="NaN"),
        pytest.param(Decimal("sNaN"), None, id="sNaN"),
        pytest.param("Infinity", None, id="infinity"),
        pytest.param([5], None, id="list"),
        pytest.param({"usd": 5}, None, id="object"),
    ],
)
def test_nanos(value: object, amount: int | None) -> None:
    """A dollar amount becomes whole nano-dollars, and what is no amount becomes None."""
    assert amount == nanos(value)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        pytest.param(0, "0", id="nothing"),
        pytest.param(81_000, "0.000081", id="part of a cent"),
        pytest.param(1, "0.000000001", id="the least"),
        pytest.param(-1, "-0.000000001", id="the least below"),
        pytest.param(10 * NANO, "10", id="whole dollars keep their zeros"),
        pytest.param(100_500_000_000, "100.5", id="no trailing zeros"),
        pytest.param(MOST, "1000000000", id="no exponent"),
    ],
)
def test_dollars(amount: int, text: str) -> None:
    """An amount is written as a plain decimal number without trailing zeros."""
    assert text == dollars(amount)


@given(amounts)
@example(MOST)
@example(-MOST)
@quick
def test_round_trip(amount: int) -> None:
    """An amount that was written is read back to the last nano-dollar."""
    assert amount == nanos(dollars(amount))
    assert amount == nanos(Decimal(dollars(amount)))


@settings(quick, max_examples=80)
@given(st.decimals(allow_nan=True, allow_infinity=True) | st.text(max_size=20) | st.integers() | st.floats())
def test_nanos_of_anything(value: object) -> None:
    """Whatever stands where an amount should, the answer is a bounded amount or None."""
    amount = nanos(value)

    assert amount is None or -MOST <= amount <= MOST


@given(st.integers(-(10**15), 10**15))
@quick
def test_json_number(amount: int) -> None:
    """Up to a million dollars the JSON number's own text is the exact amount."""
    number = json_number(amount)

    assert number is not None
    assert amount == nanos(repr(number))


@pytest.mark.parametrize(
    ("amount", "number"),
    [
        pytest.param(None, None, id="unknown"),
        pytest.param(0, 0, id="nothing"),
        pytest.param(5 * NANO, 5, id="whole"),
        pytest.param(-1_500_000_000, -1.5, id="fraction"),
    ],
)
def test_json_number_type(amount: int | None, number: float | None) -> None:
    """Unknown stays null, whole dollars are whole numbers."""
    assert repr(number) == repr(json_number(amount))
