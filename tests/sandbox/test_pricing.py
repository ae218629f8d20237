from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.sandbox.catalogue import published
from app.sandbox.pricing import price_at

STEPS = {
    "prompt": "1",
    "completion": "2",
    "overrides": [{"min_prompt_tokens": 10, "prompt": "3"}, {"utc_start": 2200, "utc_end": 100, "completion": "5"}],
}


@pytest.mark.parametrize(
    ("tokens", "hour", "expected"),
    [(9, 12, (1, 2)), (10, 12, (3, 2)), (9, 23, (1, 5)), (10, 0, (3, 5)), (9, 1, (1, 2))],
)
def test_overrides(tokens, hour, expected):
    """
    Thresholds and time windows apply, also past midnight, and inherit what they do not name.
    """
    price = price_at(STEPS, tokens, datetime(2026, 1, 1, hour, tzinfo=UTC))

    assert expected == (price.prompt, price.completion)


def test_the_catalogue_is_real():
    """
    All 422 published models are there, with prices that are exact decimals.
    """
    assert 422 == len(published())
    assert all(Decimal(each["pricing"]["prompt"]) >= -1 for each in published())
