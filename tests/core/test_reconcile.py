from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.ledger import Checkpoint
from app.core.reconcile import Difference, Totals, difference, is_another_account, is_notable, shares
from tests.core.quick import quick

CENT = 10_000_000

totals = st.builds(Totals, *[st.none() | st.integers(0, 10**15)] * 2, *[st.integers(0, 10**15)] * 2)
holds = st.lists(st.integers(0, 10**13), max_size=30)


@pytest.mark.parametrize(
    ("before", "now", "key", "account"),
    [
        pytest.param((10, 50, 5, 7), (10, 50, 5, 7), 0, 0, id="nothing happened"),
        pytest.param((10, 50, 5, 7), (13, 53, 8, 10), 0, 0, id="all of it is ours"),
        pytest.param((10, 50, 5, 7), (17, 57, 8, 10), 4, 4, id="this key was used elsewhere"),
        pytest.param((10, 50, 5, 7), (13, 60, 8, 10), 0, 7, id="another key was used elsewhere"),
        pytest.param((10, 50, 5, 7), (13, 55, 8, 12), 0, 0, id="another key was used by this gateway"),
        pytest.param((10, 50, 5, 7), (11, 51, 8, 10), -2, -2, id="OpenRouter charged less than the ledger says"),
        pytest.param((10, None, 5, 7), (17, None, 8, 10), 4, None, id="the account is never told"),
        pytest.param((10, None, 5, 7), (17, 57, 8, 10), 4, None, id="the account is told for the first time"),
        pytest.param((10, 50, 5, 7), (17, None, 8, 10), 4, None, id="the account is told no more"),
        pytest.param((None, 50, 5, 7), (17, 57, 8, 10), None, 4, id="the key is told for the first time"),
        pytest.param((None, None, 5, 7), (None, None, 8, 10), None, None, id="nothing is told"),
    ],
)
def test_difference(
    before: tuple[int | None, int | None, int, int],
    now: tuple[int | None, int | None, int, int],
    key: int | None,
    account: int | None,
) -> None:
    """What OpenRouter's totals rose by more than the ledger's, each where it is told both times."""
    assert Difference(key, account) == difference(Checkpoint(0, *before), Totals(*now))


@given(totals, totals)
@quick
def test_nothing_is_lost(before: Totals, now: Totals) -> None:
    """What one comparison leaves over the next does not find again: two in a row find as much as one."""
    middle = Totals(now.key_usage, now.account_usage, before.ledger_key, before.ledger_all)
    first, second = difference(before.at(0), middle), difference(middle.at(1), now)
    whole = difference(before.at(0), now)

    if whole.key is not None and first.key is not None and second.key is not None:
        assert whole.key == first.key + second.key
    if whole.account is not None and first.account is not None and second.account is not None:
        assert whole.account == first.account + second.account


@pytest.mark.parametrize(
    ("key", "account", "told"),
    [
        pytest.param(3, 8, (8, "credits"), id="both"),
        pytest.param(8, 3, (3, "credits"), id="the account, though it says less"),
        pytest.param(3, 0, (0, "credits"), id="the account, though it says nothing was"),
        pytest.param(None, 8, (8, "credits"), id="the account alone"),
        pytest.param(3, None, (3, "key"), id="the key alone"),
        pytest.param(-3, None, (-3, "key"), id="less than the ledger says"),
        pytest.param(None, None, (0, "key"), id="nothing is known"),
    ],
)
def test_outside(key: int | None, account: int | None, told: tuple[int, str]) -> None:
    """What others spent is read from the account, which the key is a part of, and from the key only without it."""
    assert told == Difference(key, account).outside


@pytest.mark.parametrize(
    ("before", "now", "another"),
    [
        ((10, 50), (10, 50), False),
        ((10, 50), (11, 51), False),
        ((10, 50), (9, 50), True),
        ((10, 50), (10, 49), True),
        ((10, 50), (99, 49), True),
        ((10, 50), (None, 51), False),
        ((10, 50), (None, 49), True),
        ((10, 50), (None, None), False),
        ((None, None), (0, 0), False),
    ],
)
def test_another_account(
    before: tuple[int | None, int | None], now: tuple[int | None, int | None], another: bool
) -> None:
    """A total that has fallen is another account's; one that is not told says nothing."""
    assert another is is_another_account(Checkpoint(0, *before, 0, 0), Totals(*now, 0, 0))


@pytest.mark.parametrize(
    ("of", "amount", "parts"),
    [
        ([], 5, []),
        ([0, 0], 5, [0, 0]),
        ([10], 4, [4]),
        ([10], 99, [10]),
        ([10, 30], 4, [1, 3]),
        ([10, 10, 10], 10, [3, 3, 4]),
        ([1, 1, 1], 2, [0, 1, 1]),
        ([10, 0, 30], 40, [10, 0, 30]),
        ([10, 30], 0, [0, 0]),
        ([10, 30], -7, [0, 0]),
    ],
)
def test_shares(of: list[int], amount: int, parts: list[int]) -> None:
    """An amount is divided in proportion to the holds, to the last nano-dollar."""
    assert parts == shares(of, amount)


@given(holds, st.integers(-(10**9), 10**15))
@example([1] * 30, 29)
@quick
def test_shares_add_up(of: list[int], amount: int) -> None:
    """Shares add up to what there is to divide; none is above its hold, none is negative."""
    parts = shares(of, amount)

    assert max(0, min(amount, sum(of))) == sum(parts)
    assert len(of) == len(parts)
    assert all(0 <= part <= hold for part, hold in zip(parts, of, strict=True))


@given(holds, st.integers(0, 10**15))
@quick
def test_shares_are_fair(of: list[int], amount: int) -> None:
    """No share is a whole nano-dollar or more away from what is due in proportion."""
    total, divided = sum(of), min(amount, sum(of))

    for part, hold in zip(shares(of, amount), of, strict=True):
        assert abs(part * total - divided * hold) < max(1, total)


@pytest.mark.parametrize(
    ("outside", "ledger", "notable"),
    [
        (0, 0, False),
        (5 * CENT, 0, False),
        (5 * CENT + 1, 0, True),
        (-5 * CENT - 1, 0, True),
        (5 * CENT + 1, 500 * CENT, True),
        (6 * CENT, 1000 * CENT, False),
        (10 * CENT, 1000 * CENT, False),
        (10 * CENT + 1, 1000 * CENT, True),
        (-10 * CENT - 1, 1000 * CENT, True),
        (6 * CENT, -1000 * CENT, True),
    ],
)
def test_is_notable(outside: int, ledger: int, notable: bool) -> None:
    """The owner hears of more than five cents that are also more than a hundredth of what the ledger knows."""
    assert notable is is_notable(outside, ledger)
