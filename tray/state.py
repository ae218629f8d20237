"""How things stand, judged from what a look at the gateway brought; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tray.figures import EVERYBODY, KEY_CODES, Cap, Credits, Health, Usage
from tray.reading import Reading, Trouble


class State(StrEnum):
    """What the icon says."""

    OK = "ok"
    LOW = "low"
    CRITICAL = "critical"
    STALE = "stale"
    """OpenRouter cannot be asked: the figures are those of some time ago, if there are any."""
    OFFLINE = "offline"
    """The gateway cannot be asked."""
    NO_KEY = "no_key"
    """A secret is missing or refused: the gateway's key, or the tray's own token."""
    PAUSED = "paused"
    """The owner stopped all programs."""


_STATE_OF = {
    Trouble.DOWN: State.OFFLINE,
    Trouble.SILENT: State.OFFLINE,
    Trouble.FOREIGN: State.OFFLINE,
    Trouble.NO_TOKEN: State.NO_KEY,
    Trouble.TOKEN_REFUSED: State.NO_KEY,
    Trouble.NO_KEY: State.NO_KEY,
    Trouble.KEY_REFUSED: State.NO_KEY,
    Trouble.UNREACHABLE: State.STALE,
    Trouble.REFUSED: State.STALE,
}

_WORSE = (State.OK, State.LOW, State.CRITICAL)


@dataclass(frozen=True)
class Amount:
    """The amount to show: what the next call can be paid from."""

    dollars: Decimal
    is_cap: bool
    """It is what the key may still spend, and no balance."""


@dataclass(frozen=True)
class Snapshot:
    """All that icon, title, rows and warnings are made from; figures outlive the trouble that follows them."""

    state: State
    level: State
    """OK, LOW or CRITICAL: how the money stands by the figures there are, whatever else is wrong."""
    reading: Reading
    """The look that this was judged from."""
    credits: Credits | None
    today: Usage | None
    month: Usage | None
    marks: tuple[Decimal, ...]
    """The amounts below which to warn, the largest first."""
    misses: int
    """So many looks in a row met trouble of the same kind; 0 without trouble."""

    @property
    def trouble(self) -> Trouble | None:
        """What keeps the figures from being those of now."""
        stale = self.credits is not None and self.credits.stale
        return self.reading.trouble or (Trouble.UNREACHABLE if stale else None)

    @property
    def health(self) -> Health | None:
        """What the gateway says of itself now."""
        return self.reading.health

    @property
    def paused(self) -> frozenset[str]:
        """The paused programs, EVERYBODY for all of them."""
        return _paused(self.today)

    @property
    def amount(self) -> Amount | None:
        """The amount to show: the balance, or the cap where that is all that is known or what ends first."""
        return None if self.credits is None else _amount(self.credits, self.marks)


def judge(reading: Reading, before: Snapshot | None, marks: Sequence[Decimal], *, just_woke: bool = False) -> Snapshot:
    """
    The snapshot after a look, given the one before and the marks to use where the gateway tells none.

    `just_woke`: the computer slept and nothing fresh came since. Whatever fails then is given time to come back, and
    the snapshot before stands.
    """
    trouble = reading.trouble or (Trouble.UNREACHABLE if reading.credits and reading.credits.stale else None)
    if just_woke and before is not None and trouble is not None:
        return before
    known = reading.credits or (before.credits if before else None)
    told = tuple(marks) if known is None or known.marks is None else known.marks
    # What a gateway has told is kept while it cannot be asked; what runs and who is paused is asked anew.
    today = reading.today or (before.today if before and reading.trouble else None)
    month = reading.month or (before.month if before and reading.trouble else None)
    level = _level_of_all(known, told, reading.health)
    return Snapshot(
        state=_state(trouble, today, level),
        level=level,
        reading=reading,
        credits=known,
        today=today,
        month=month,
        marks=told,
        misses=0 if trouble is None else before.misses + 1 if before and before.trouble is trouble else 1,
    )


def level(dollars: Decimal, marks: Sequence[Decimal]) -> State:
    """How an amount stands to the marks: below the lowest of several it is critical, as is nothing at all."""
    if dollars <= 0 or (len(marks) > 1 and dollars < min(marks)):
        return State.CRITICAL
    return State.LOW if any(dollars < mark for mark in marks) else State.OK


def marks_of_cap(cap: Cap, marks: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """The marks that mean something for a key's cap: one that the full cap is hardly above would always warn."""
    return tuple(mark for mark in marks if cap.limit is None or mark * 6 < cap.limit * 5)


def refused_for_money(known: Credits | None, health: Health | None) -> bool:
    """
    Whether OpenRouter refused the last call for want of money: with an unknown balance the only sign that it is gone.

    A known balance says more, since the refusal stands until the next call, also over a top-up.
    """
    unknown = known is None or known.remaining is None
    return unknown and health is not None and health.closed is not None and health.closed not in KEY_CODES


def _state(trouble: Trouble | None, today: Usage | None, money: State) -> State:
    if trouble is not None and _STATE_OF[trouble] is not State.STALE:
        return _STATE_OF[trouble]
    if EVERYBODY in _paused(today):
        return State.PAUSED
    return money if trouble is None else State.STALE


def _paused(today: Usage | None) -> frozenset[str]:
    return (today and today.paused) or frozenset()


def _level_of_all(known: Credits | None, marks: Sequence[Decimal], health: Health | None) -> State:
    found = [State.OK]
    if known is not None:
        found += [level(known.remaining, marks)] if known.remaining is not None else []
        found += [level(known.cap.left, marks_of_cap(known.cap, marks))] if known.cap else []
    if refused_for_money(known, health):
        found.append(State.CRITICAL)
    return max(found, key=_WORSE.index)


def _amount(known: Credits, marks: Sequence[Decimal]) -> Amount | None:
    balance = None if known.remaining is None else Amount(known.remaining, is_cap=False)
    if known.cap is None:
        return balance
    cap = Amount(known.cap.left, is_cap=True)
    if balance is None:
        return cap
    worse = _WORSE.index(level(cap.dollars, marks_of_cap(known.cap, marks))) > _WORSE.index(
        level(balance.dollars, marks)
    )
    return cap if worse and cap.dollars < balance.dollars else balance
