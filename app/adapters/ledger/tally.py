"""What attempts that end together add to the sums, written once for all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from app.adapters.ledger import days, statements
from app.adapters.ledger.statements import DAY_MS, HOUR_MS


class Ended(NamedTuple):
    """An attempt as the ledger has it once it is closed: what `statements.close` returns."""

    number: int
    at: int
    app: str
    agent: str | None
    model: str
    key_id: str
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass
class _Figures:
    calls: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int = 0
    estimated: int = 0


class Tally:
    """
    Gathers figures within one transaction, in which they must be written before it ends or anybody reads a sum.

    What was gathered in a transaction that is undone must be forgotten.
    """

    def __init__(self) -> None:
        self._spending: Counter[tuple[str, int, str]] = Counter()
        self._hours: dict[tuple[int, str, str, str], _Figures] = {}

    def add(self, ended: Ended, cost: int, *, estimated: bool) -> None:
        """Count an attempt; its cost is in nano-dollars."""
        if cost:
            self._spending[ended.app, ended.at // DAY_MS, ended.key_id] += cost
        key = (ended.at // HOUR_MS, ended.app, ended.agent or "", ended.model)
        figures = self._hours.setdefault(key, _Figures())
        figures.calls += ended.number == 1
        figures.attempts += 1
        figures.prompt_tokens += ended.prompt_tokens or 0
        figures.completion_tokens += ended.completion_tokens or 0
        figures.cost += cost
        figures.estimated += cost if estimated else 0

    def write(self, connection: Connection) -> None:
        """Add what was gathered to the sums."""
        if not self._hours:
            return
        for spent_by, cost in self._spending.items():
            row = dict(zip(statements.SPENDING_KEYS, spent_by, strict=True))
            statements.add_spending.execute(connection, {**row, "cost": cost})
        summed_before = days.summed_before(connection)
        for key, figures in self._hours.items():
            row = {**dict(zip(statements.HOURS_KEYS, key, strict=True)), **vars(figures)}
            statements.add_hour.execute(connection, row)
            if key[0] // days.HOURS < summed_before:
                days.add(connection, row)
        self.forget()

    def forget(self) -> None:
        """Nothing was gathered."""
        self._spending.clear()
        self._hours.clear()
