"""The rows of the fault matrix (faults.md §4.1): what each must come to, in three shapes; and those without a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.upstream.lab import Lab, assert_answered
from tests.lab.upstream.plays import good
from tests.lab.upstream.wire import Play

ALL = tuple(f"U{number}" for number in range(1, 66))

NOT_TESTED = {
    "U63": "a settlement by /generation belongs to the ledger, which does not exist yet (design §6)",
}

SHAPES = ("plain", "streamed", "chain", "chain-streamed")


@dataclass(frozen=True)
class Row:
    """A fault that shows before any content has reached the app."""

    id: str
    fault: str
    play: Play
    status: int
    type: str
    code: str
    sends: int = 1
    """POSTs to this model, alone and in a chain."""
    moves: bool = True
    """A chain goes on to its next model."""
    should_retry: str = "false"
    wishes: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    hasty: bool = False
    shapes: tuple[str, ...] = SHAPES


def in_shapes(rows: Iterable[Row]) -> list[Any]:
    """Each row in each of its shapes, as parameters."""
    return [pytest.param(row, shape, id=f"{row.id}-{row.fault}-{shape}") for row in rows for shape in row.shapes]


def play_out(lab: Lab, row: Row, shape: str) -> None:
    """The row in this shape: what the app sees, what was sent, what is left."""
    bad = lab.model(row.play)
    if row.hasty:
        lab.upstream.hasty.add(bad)
    models = (bad, lab.model(good)) if shape.startswith("chain") else (bad,)
    sends = [bad] * row.sends

    seen = lab.ask(*models, stream=shape.endswith("streamed"), wishes=row.wishes, **row.body)

    if row.moves and len(models) > 1:
        sends.append(models[1])
        assert_answered(seen, fallbacks=1, retries=row.sends - 1)
    else:
        assert (row.status, row.type, row.code, row.should_retry) == seen.refusal
        assert sends == lab.told(seen)
        assert b"[DONE]" not in seen.body
    assert sends == lab.sent(*models)
    lab.check(seen, *models)
