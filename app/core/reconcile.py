"""Comparing the ledger with OpenRouter's own totals, in nano-dollars; pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.frozen import frozen
from app.core.ledger import Checkpoint

_TOLERANCE = 50_000_000
_SHARE = 100


@frozen
class Totals:
    """What OpenRouter and the ledger say at one moment; None where OpenRouter does not tell."""

    key_usage: int | None
    account_usage: int | None
    ledger_key: int
    ledger_all: int

    def at(self, moment: float) -> Checkpoint:
        """The totals as a checkpoint."""
        return Checkpoint(moment, self.key_usage, self.account_usage, self.ledger_key, self.ledger_all)


@frozen
class Difference:
    """What has happened since a checkpoint that the ledger does not explain; None where OpenRouter does not tell."""

    key: int | None
    """Spent with this key; negative when OpenRouter charged less than the ledger says."""
    account: int | None
    """Spent on the whole account."""

    @property
    def outside(self) -> tuple[int, str]:
        """What others spent, by the wider of the two figures, and which that is."""
        if self.account is not None:
            return self.account, "credits"
        return self.key or 0, "key"


def is_another_account(before: Checkpoint, now: Totals) -> bool:
    """OpenRouter's totals only ever grow: when one has fallen, they are those of another account."""
    pairs = ((before.key_usage, now.key_usage), (before.account_usage, now.account_usage))
    return any(old is not None and new is not None and new < old for old, new in pairs)


def difference(before: Checkpoint, now: Totals) -> Difference:
    """What OpenRouter's totals rose by more than the ledger's since the checkpoint."""
    return Difference(
        _unexplained(before.key_usage, now.key_usage, now.ledger_key - before.ledger_key),
        _unexplained(before.account_usage, now.account_usage, now.ledger_all - before.ledger_all + _found(before, now)),
    )


def shares(holds: Sequence[int], amount: int) -> list[int]:
    """
    The amount divided among attempts in proportion to their holds, to the last nano-dollar; none gets more than its
    hold. What is left over was spent by somebody else.
    """
    total = sum(holds)
    wanted = max(0, min(amount, total))
    if not total:
        return [0] * len(holds)
    parts, given, before = [], 0, 0
    for hold in holds:
        before += hold
        upto = wanted * before // total
        parts.append(upto - given)
        given = upto
    return parts


def is_notable(outside: int, ledger: int) -> bool:
    """Whether the owner should hear of it: more than $0.05 and 1 % of what the ledger knows (faults.md R14)."""
    return abs(outside) > max(_TOLERANCE, ledger // _SHARE)


def _found(before: Checkpoint, now: Totals) -> int:
    """What is on record already, since it was found with another key of, as far as its total tells, this account."""
    return sum(
        amount
        for total, amount in before.elsewhere
        if before.account_usage is not None
        and now.account_usage is not None
        and before.account_usage <= total <= now.account_usage
    )


def _unexplained(before: int | None, now: int | None, ledger: int) -> int | None:
    return None if before is None or now is None else now - before - ledger
