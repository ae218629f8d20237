from __future__ import annotations

import threading

from app.cli.batches.purse import Prices, Purse
from app.core.batch import Item
from app.core.money import NANO
from tests.lab.client.lab import comes_true

_MODELS = [
    {"id": "a/b", "context_length": 1000, "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
    {"id": "c/d", "context_length": 1000, "pricing": {"prompt": "0.00001", "completion": "0.00002"}},
    {"id": "agent/a", "context_length": 1000, "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
    {"id": "openrouter/auto", "context_length": 1000, "pricing": {"prompt": "-1", "completion": "-1"}},
]


def _item(**body: object) -> Item:
    return Item("x", "/v1/chat/completions", body, b"x" * 200)


def test_without_a_limit() -> None:
    """Without a budget everything may go."""
    assert all(Purse(None, 0).take(most) for most in (10, None))


def test_nothing_beyond_the_limit() -> None:
    """A call goes only if it fits at its dearest beside all that is spent and under way."""
    purse = Purse(100, 40)

    assert (True, True) == (purse.take(30), purse.take(30))
    purse.settle(30, 30)
    purse.settle(30, 30)
    assert (100, False) == (purse.spent, purse.take(1))


def test_waits_for_what_is_set_aside() -> None:
    """A call that does not fit yet waits until those under way have cost less than was set aside."""
    purse = Purse(100, 0)
    assert purse.take(80)
    taken: list[bool] = []
    waiting = threading.Thread(target=lambda: taken.append(purse.take(50)))
    waiting.start()

    purse.settle(80, 10)
    waiting.join(10)

    assert [True] == taken


def test_unknown_price() -> None:
    """Calls whose price nobody knows go one at a time, and none once the budget is used up."""
    purse = Purse(100, 0)
    assert purse.take(None)
    taken: list[bool] = []
    waiting = threading.Thread(target=lambda: taken.append(purse.take(None)))
    waiting.start()

    purse.settle(None, 100)
    waiting.join(10)

    assert [False] == taken


def test_paid_already() -> None:
    """A call that may have been paid for is asked for again however little is left: that costs nothing."""
    assert Purse(100, 100).take(50, paid_already=True)


def test_waiting_within_calls() -> None:
    """Of calls that wait for another one to end, the last is told that none is left."""
    purse, told = Purse(None, 0), []
    assert purse.take(10)
    assert purse.take(10)
    waiting = threading.Thread(target=lambda: told.append(purse.wait_for_another()))
    waiting.start()
    assert comes_true(lambda: purse._waiting == 1)

    last = purse.wait_for_another()
    purse.settle(10, 0)
    waiting.join(10)

    assert (False, [True]) == (last, told)


def test_prices() -> None:
    """
    A line costs at most what the dearest model of its chain costs; a route has its model's price.

    What an agent adds, and which models it has beside the one it is listed by, nobody knows here.
    """
    prices = Prices(_MODELS)

    cheap = prices.most(_item(model="a/b", max_tokens=100))
    assert NANO * 3 // 10_000 == cheap
    assert cheap == prices.most(_item(model="a/b:nitro", max_tokens=100))
    assert 10 * cheap == prices.most(_item(models=["a/b", "c/d"], max_tokens=100))
    assert cheap == prices.most(Item("x", "/v1/responses", {"model": "a/b", "max_output_tokens": 100}, b"x" * 200))
    assert cheap * 2 > prices.most(Item("x", "/v1/messages", {"model": "a/b", "max_tokens": 100}, b"x" * 200)) > 0
    two = Item("x", "/v1/completions", {"model": "a/b", "max_tokens": 100, "prompt": ["x", "y"]}, b"x" * 200)
    assert NANO * 5 // 10_000 == prices.most(two)
    assert prices.most(_item(model="openrouter/auto")) is None
    assert prices.most(_item(model="agent/a")) is None
    assert prices.most(_item(model="who/knows")) is None
