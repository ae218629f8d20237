from __future__ import annotations

import pytest

from app.core.errors import Conflict
from app.core.idempotency import Once
from app.services.memory import KEPT_S, Memory
from app.services.relay import Delivery


def _once(key: str, memory: str | None = None) -> Once:
    return Once(key, memory, b"digest")


def _made(memory: Memory, key: str, body: bytes = b"answer", now: float = 0.0) -> None:
    once = _once(key)
    assert memory.find(once) is None
    memory.end(memory.begin(once), Delivery("application/json", {}, body), now)


def _code(memory: Memory, once: Once) -> str:
    with pytest.raises(Conflict) as caught:
        memory.find(once)
    return caught.value.code


def test_size_is_bounded() -> None:
    """Beyond its size the oldest answers go; that there was a call is still known, so that nobody pays for it again."""
    memory = Memory(most_bytes=25)
    for key in "abc":
        _made(memory, key, b"x" * 10)

    kept = [memory.find(_once(key)) for key in "bc"]

    assert all(entry is not None and entry.outcome is not None for entry in kept)
    assert "answer_gone" == _code(memory, _once("a"))


def test_one_large_answer_is_kept() -> None:
    """The newest answer is kept, however large."""
    memory = Memory(most_bytes=5)

    _made(memory, "a", b"x" * 10)

    assert memory.find(_once("a")) is not None


def test_age_is_bounded() -> None:
    """Answers go after a day."""
    memory = Memory()
    _made(memory, "a", now=0.0)
    _made(memory, "b", now=10.0)

    memory.tidy(KEPT_S + 5)

    assert "answer_gone" == _code(memory, _once("a"))
    assert memory.find(_once("b")) is not None


def test_count_is_bounded() -> None:
    """When calls are forgotten the memory is another one: who relied on the old one is told so."""
    memory = Memory(most_calls=4)
    before = memory.id
    for key in "abcde":
        _made(memory, key)

    assert before != memory.id
    assert "memory_lost" == _code(memory, _once("a", before))
    assert memory.find(_once("e", before)) is not None
    assert memory.find(_once("f", memory.id)) is None
