from __future__ import annotations

from app.services.bounded import Bounded


def _kept(*keys: str, most_bytes: int = 30) -> Bounded[str, int]:
    kept: Bounded[str, int] = Bounded(most_bytes)
    for at, key in enumerate(keys):
        kept.put(key, at, 10)
    return kept


def test_oldest_goes() -> None:
    """Beyond the size what was of use longest ago goes, and whoever put the new one is told."""
    kept = _kept("a", "b", "c")
    kept.use("a")

    assert ["b", "c"] == kept.put("d", 3, 20)
    assert [("a", 0), ("d", 3)] == kept.all()
    assert 30 == kept.bytes


def test_newest_stays() -> None:
    """The newest is kept, however large."""
    kept = _kept("a")

    assert ["a"] == kept.put("b", 1, 1000)
    assert ("b", 1) == kept.oldest()


def test_replaced() -> None:
    """A value takes the place, and the size, of the one before it."""
    kept = _kept("a", "b")

    kept.put("a", 5, 3)

    assert (5, 13) == (kept.look("a"), kept.bytes)
    assert [("b", 1), ("a", 5)] == kept.all()


def test_dropped() -> None:
    """What was dropped counts no more; dropping what is not there does no harm."""
    kept = _kept("a")

    for _ in range(2):
        kept.drop("a")

    assert (None, None, 0) == (kept.look("a"), kept.oldest(), kept.bytes)
