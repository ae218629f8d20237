"""The rows of the menu, made from a snapshot; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tray import words
from tray.figures import EVERYBODY, Budget, Usage
from tray.limits import cut
from tray.reading import Trouble
from tray.state import Snapshot, State
from tray.words import money


@dataclass(frozen=True)
class Row:
    """One row, as the shell shows it."""

    text: str = ""
    action: str = ""
    """What choosing it does, such as "refresh" or "pause:my-editor"; "" opens the dashboard, which harms nothing."""
    children: tuple[Row, ...] = ()
    checked: bool | None = None
    """None has no mark."""


SEPARATOR = Row("-")


@dataclass(frozen=True)
class Choices:
    """What the owner has chosen, and what can be chosen here."""

    hide_amounts: bool = False
    snoozed: str = ""
    """Until when nothing is warned of, in words; "" when warnings come."""
    at_login: bool | None = None
    """Whether the tray starts at login; None where that cannot be arranged."""
    can_start: bool = False
    """A gateway could be started on this machine."""
    can_stop: bool = False
    """The gateway that runs is one that the tray has started."""
    problem: str = ""
    """What last went wrong, in words."""


_LONGEST = 80
_BAR = 8
_MOST_APPS = 12
_CANNOT_BE_ASKED = frozenset({Trouble.DOWN, Trouble.SILENT, Trouble.FOREIGN, Trouble.NO_TOKEN, Trouble.TOKEN_REFUSED})


def rows(snapshot: Snapshot, choices: Choices, now: datetime) -> tuple[Row, ...]:
    """The whole menu; its texts change only when what they tell does."""
    groups = [
        tuple(facts(snapshot, choices, now)),
        tuple(_switches(snapshot)),
        (
            Row("Refresh now", "refresh"),
            Row("Top up…", "top_up"),
            Row("Open dashboard", "open"),
            Row("Copy address", "copy"),
        ),
        tuple(_settings(snapshot, choices)),
        (Row("Quit", "quit"),),
    ]
    flat: list[Row] = []
    for group in filter(None, groups):
        flat += [SEPARATOR, *group] if flat else group
    return tuple(flat)


def texts(menu: tuple[Row, ...], indent: str = "") -> list[str]:
    """The rows as lines of text, those of submenus indented."""
    lines = []
    for row in menu:
        if row != SEPARATOR:
            mark = {None: "", True: "✓ ", False: ""}[row.checked]
            lines += [f"{indent}{mark}{row.text}", *texts(row.children, f"{indent}  ")]
    return lines


def bar(part: Decimal, width: int = _BAR) -> str:
    """A bar of so many cells that is filled by this part, 0 to 1; what is more than nothing shows."""
    filled = min(max(round(part * width), 1 if part > 0 else 0), width)
    return "▰" * filled + "▱" * (width - filled)


def facts(snapshot: Snapshot, choices: Choices, now: datetime) -> Iterator[Row]:
    """The rows that tell how things stand."""
    hidden, found = choices.hide_amounts, snapshot.credits
    if snapshot.trouble is not None or snapshot.state is State.PAUSED:
        yield _told(words.sentence(snapshot, now, hidden=hidden))
    if snapshot.trouble is None and snapshot.level is not State.OK:
        yield Row("Low credits: top up…" if snapshot.level is State.LOW else "Almost no credits: top up…", "top_up")
    if found is not None:
        as_of = f", as of {words.clock_time(found.as_of, now)}" if snapshot.trouble is not None else ""
        yield _told(f"{words.balance(snapshot, hidden=hidden)}{as_of}")
        if found.cap is not None and found.remaining is not None:
            yield _told(words.key_cap(found.cap, hidden=hidden))
    spent = [
        f"{money(usage.total, hidden=hidden)} {name}"
        for usage, name in ((snapshot.today, "today"), (snapshot.month, "this month"))
        if usage is not None
    ]
    if spent:
        yield _told(f"Spent {', '.join(spent)} (UTC)")
    if found is not None:
        yield _told(words.pace(found, now, hidden=hidden))
        if found.free is not None and found.free.used > 0:
            yield _told(f"{found.free.left} of {found.free.limit} free requests left today")
    if snapshot.today is not None and snapshot.today.by_app:
        yield Row("Spent by program today", children=tuple(_by_app(snapshot.today, hidden)))
    if choices.problem:
        yield _told(f"Last problem: {choices.problem}")


def _by_app(today: Usage, hidden: bool) -> Iterator[Row]:
    shown, rest = today.by_app[:_MOST_APPS], today.by_app[_MOST_APPS:]
    for name, cost in shown:
        part = cost / today.total if today.total > 0 else Decimal(0)
        left = [budget for budget in today.budgets if budget.app == name]
        note = f" ({_budget_note(left, hidden)})" if left else ""
        yield _told(f"{bar(part)} {name}  {money(cost, hidden=hidden)}{note}")
    if rest:
        cost = sum((cost for _, cost in rest), Decimal(0))
        yield _told(f"{len(rest)} more  {money(cost, hidden=hidden)}")


def _budget_note(budgets: list[Budget], hidden: bool) -> str:
    tightest = min(budgets, key=lambda budget: budget.left)
    if tightest.left <= 0:
        return "budget used up"
    if hidden:
        return "within budget"
    return f"{money(tightest.left)} of its budget left"


def _switches(snapshot: Snapshot) -> Iterator[Row]:
    if snapshot.trouble in _CANNOT_BE_ASKED or snapshot.today is None:
        return
    paused = snapshot.paused
    if paused:
        yield Row("Resume all programs" if EVERYBODY in paused else "Resume paused programs", "resume")
    if EVERYBODY not in paused:
        yield Row("Pause all programs", "pause")
        names = _names(snapshot)
        if names:
            yield Row("Pause one program", children=tuple(_switch(name, name in paused) for name in names))
    yield Row("End running calls", "end")


def _switch(name: str, paused: bool) -> Row:
    return Row(cut(name, _LONGEST), f"{'resume' if paused else 'pause'}:{name}", checked=paused)


def _names(snapshot: Snapshot) -> list[str]:
    known = {name for usage in (snapshot.today, snapshot.month) if usage for name, _ in usage.by_app}
    limited = {budget.app for budget in snapshot.today.budgets} if snapshot.today else set()
    # What came without a name cannot be paused, and our own tools make no calls.
    found = (known | limited | snapshot.paused) - {EVERYBODY, "unknown", "orgate"}
    return sorted(found, key=lambda name: (name.casefold(), name))[: 2 * _MOST_APPS]


def _settings(snapshot: Snapshot, choices: Choices) -> Iterator[Row]:
    if choices.can_stop:
        yield Row("Stop the gateway", "stop")
    elif snapshot.trouble is Trouble.DOWN and choices.can_start:
        yield Row("Start the gateway", "start")
    if choices.at_login is not None:
        yield Row("Start at login", "login", checked=choices.at_login)
    if choices.snoozed:
        yield Row(f"Snoozed {choices.snoozed}: warn again", "snooze:off")
    else:
        yield Row(
            "Snooze warnings",
            children=(
                Row("For an hour", "snooze:1h"),
                Row("Until tomorrow", "snooze:tomorrow"),
                Row("Until the next top-up", "snooze:topup"),
            ),
        )
    yield Row("Hide amounts", "hide", checked=choices.hide_amounts)


def _told(text: str) -> Row:
    return Row(cut(text, _LONGEST))
