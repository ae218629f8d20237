"""When to warn of little money: once for each mark, and again only after it was clearly left behind."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.frozen import frozen


@frozen
class Look:
    """What a look at the rest says. Amounts in nano-dollars."""

    told: int | None
    """The lowest mark that was warned of in this episode, the present warning included; None outside of one."""
    alert: int | None = None
    """The mark to warn of now."""


def look(marks: Sequence[int], told: int | None, remaining: int | None) -> Look:
    """
    Whether what remains calls for a warning, after `told` was the lowest mark warned of.

    One warning is for the lowest mark that is undercut, and those above it count as told. A mark is told again once
    more than 120 % of it was there in between. A rest that is not known (None) changes nothing.
    """
    if remaining is None:
        return Look(told)
    undercut = min((mark for mark in marks if remaining < mark), default=None)
    if undercut is not None and (told is None or undercut < told):
        return Look(undercut, alert=undercut)
    still_told = [mark for mark in marks if told is not None and told <= mark and not _is_left_behind(mark, remaining)]
    return Look(min(still_told, default=None))


def room(marks: Sequence[int], told: int | None, remaining: int | None) -> list[int]:
    """For each mark that a look may still warn of, how much can be spent before it does, in nano-dollars."""
    if remaining is None:
        return []
    return [remaining - mark for mark in marks if mark <= remaining and (told is None or mark < told)]


def to_text(told: int | None) -> str | None:
    """What was told, as text to be kept; None when there is nothing to keep."""
    return None if told is None else str(told)


def from_text(text: str | None) -> int | None:
    """What was told, from the text that was kept; what is no such text counts as nothing told."""
    return int(text) if text and len(text) <= 20 and text.isascii() and text.isdecimal() else None


def _is_left_behind(mark: int, remaining: int) -> bool:
    return remaining * 5 > mark * 6
