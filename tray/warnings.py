"""When to warn and in which words: once per episode, and not while the owner wants quiet; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from tray import words
from tray.figures import Budget, Credits, Notice
from tray.reading import Trouble
from tray.state import Snapshot, marks_of_cap, refused_for_money
from tray.words import money

NORMAL, CRITICAL = "normal", "critical"

TOP_UP = ("top_up", "Top up")
OPEN = ("open", "Open")
SNOOZE = ("snooze:1h", "Snooze 1 h")
KEYS = ("keys", "Open keys")
START = ("start", "Start it")
PAUSE = ("pause", "Pause all")

_AGAIN_AFTER_S = 6 * 3600
"""Spending goes up and down: that it is unusual is said no more often than this."""

_TWICE = 2
"""So many looks in a row must meet a trouble before it is told: a gateway that restarts is no news."""

_ABOUT_MONEY = frozenset({"balance", "cap", "refused", "pace"})


@dataclass(frozen=True)
class Message:
    """One message to show."""

    key: str
    """A message with the same key takes the place of the one before."""
    title: str
    body: str
    buttons: tuple[tuple[str, str], ...]
    """Action and label of each."""
    urgency: str


@dataclass(frozen=True)
class Snooze:
    """The owner wants no warnings for a while."""

    until: float | None
    """Seconds since 1970; None is until the next top-up, and then only what is about money is kept quiet."""


@dataclass(frozen=True)
class Memory:
    """What was told and chosen; kept in a file, so that a restart repeats nothing."""

    told: Mapping[str, float] = field(default_factory=dict)
    """The episodes that were warned of, such as "balance:5", and when, in seconds since 1970."""
    snooze: Snooze | None = None
    bought: Decimal | None = None
    """All that was ever bought, when it was last known."""
    top_up_since: float | None = None
    """When the owner went to top up and the purchase was not seen yet, in seconds since 1970."""
    last_notice: int | None = None
    """The last of the gateway's notices that was heard."""


@dataclass(frozen=True)
class Past:
    """What this process has seen of the gateway."""

    was_up: bool = False
    """It answered before, and its owner did not stop it from here."""
    was_well: bool = False
    """It told figures of its own time before."""


@dataclass(frozen=True)
class Decision:
    """What is to be remembered, shown and taken away."""

    memory: Memory
    send: tuple[Message, ...] = ()
    close: tuple[str, ...] = ()
    """Keys of messages whose cause is gone."""


@dataclass(frozen=True)
class _Concern:
    """Something that may be worth a warning."""

    episode: str
    holds: bool
    over: bool
    """It is so clearly past that the next time is a new episode."""
    message: Message


def decide(memory: Memory, snapshot: Snapshot, past: Past, now: datetime, *, hidden: bool = False) -> Decision:
    """What a new snapshot calls for; without `hidden`, in figures."""
    at = now.timestamp()
    memory = _awake(memory, at)
    send: list[Message] = []
    closed: set[str] = set()
    memory, came_in = _bought(memory, snapshot)
    if came_in is not None:
        closed |= {"balance", "refused"} & set(map(_group, memory.told))
        if memory.top_up_since is not None:
            send.append(_thanks(came_in, snapshot, hidden))
        memory = replace(memory, snooze=None, top_up_since=None, told=_after_top_up(memory.told, snapshot, at))
    concerns = list(_concerns(memory, snapshot, past, now, hidden))
    over = _over(memory, snapshot, {one.episode: one.over for one in concerns})
    told = {name: when for name, when in memory.told.items() if name not in over}
    # What a budget's message says stays true after its period, and it goes by itself.
    closed |= {_group(name) for name in over if not _is_budget(name)} - {_group(name) for name in told}
    due = [one for one in concerns if one.holds and one.episode not in told and not _is_quiet(memory, one.episode)]
    # Of several marks that are undercut at once only the last, the lowest, is worth a message.
    send += {one.message.key: one.message for one in due}.values()
    told |= {one.episode: at for one in due}
    return Decision(replace(memory, told=told), tuple(send), tuple(sorted(closed - {one.key for one in send})))


def hear(memory: Memory, notice: Notice, now: datetime, *, hidden: bool = False) -> Decision:
    """What a notice of the gateway's calls for beyond a new look: a budget that was hit is known to nobody else."""
    memory = replace(memory, last_notice=notice.id)
    app, period = notice.facts.get("app"), notice.facts.get("period")
    if notice.event != "budget.exceeded" or not isinstance(app, str) or not isinstance(period, str):
        return Decision(memory)
    episode = f"budget:{app}:{period}"
    if episode in memory.told or _is_quiet(memory, episode):
        return Decision(memory)
    told = {**memory.told, episode: now.timestamp()}
    body = f"{app} has used up its budget." if hidden or not notice.message else notice.message
    return Decision(replace(memory, told=told), (_budget_message(app, period, body),))


def snoozed(memory: Memory, kind: str, now: datetime) -> Memory:
    """With the snooze of an action: "1h", "tomorrow" (until eight in the morning), "topup", or "off"."""
    match kind:
        case "1h":
            return replace(memory, snooze=Snooze(now.timestamp() + 3600))
        case "tomorrow":
            return replace(memory, snooze=Snooze(_next_morning(now)))
        case "topup":
            return replace(memory, snooze=Snooze(None))
    return replace(memory, snooze=None)


def snooze_text(memory: Memory, now: datetime) -> str:
    """Until when warnings are kept quiet, in words; "" when they are not."""
    if memory.snooze is None:
        return ""
    if memory.snooze.until is None:
        return "until the next top-up"
    return f"until {words.clock_time(memory.snooze.until, now)}"


def _awake(memory: Memory, at: float) -> Memory:
    """Once a snooze is over, what still holds is worth saying again."""
    if memory.snooze is None or memory.snooze.until is None or at < memory.snooze.until:
        return memory
    return replace(memory, snooze=None, told={})


def _is_quiet(memory: Memory, episode: str) -> bool:
    if memory.snooze is None:
        return False
    return memory.snooze.until is not None or episode.partition(":")[0] in _ABOUT_MONEY


def _bought(memory: Memory, snapshot: Snapshot) -> tuple[Memory, Decimal | None]:
    """The memory with what has been bought in all, and how much of it came in since it was last known."""
    total = snapshot.credits.total if snapshot.credits and snapshot.trouble is None else None
    if total is None:
        return memory, None
    came_in = total - memory.bought if memory.bought is not None and total > memory.bought else None
    return replace(memory, bought=total), came_in


def _after_top_up(told: Mapping[str, float], snapshot: Snapshot, at: float) -> Mapping[str, float]:
    """A top-up ends the episode; the marks that are still undercut after it need no word."""
    others = {name: when for name, when in told.items() if _group(name) not in ("balance", "refused")}
    left = snapshot.credits.remaining if snapshot.credits else None
    return others | {_mark("balance", mark): at for mark in snapshot.marks if left is not None and left < mark}


def _over(memory: Memory, snapshot: Snapshot, known: Mapping[str, bool]) -> set[str]:
    """The episodes that have ended; what a fresh look does not even speak of any more is over too."""
    unasked = snapshot.trouble is not None
    return {
        name
        for name in memory.told
        if known.get(name, not unasked and not (_is_budget(name) and snapshot.today is None))
    }


def _concerns(memory: Memory, snapshot: Snapshot, past: Past, now: datetime, hidden: bool) -> Iterator[_Concern]:
    yield from _about_gateway(snapshot, past)
    if snapshot.trouble is not None or snapshot.credits is None:
        return
    found = snapshot.credits
    yield from _about_balance(found, snapshot.marks, now, hidden)
    yield from _about_cap(found, snapshot.marks, hidden)
    yield _about_refusal(snapshot)
    yield _about_pace(found, memory.told.get("pace", 0.0), now, hidden)
    yield from _about_free(found)
    for budget in snapshot.today.budgets if snapshot.today else ():
        yield _about_budget(budget, hidden)


def _about_gateway(snapshot: Snapshot, past: Past) -> Iterator[_Concern]:
    trouble, twice = snapshot.trouble, snapshot.misses >= _TWICE
    down = trouble in (Trouble.DOWN, Trouble.SILENT)
    body = "It no longer answers: programs cannot reach OpenRouter."
    buttons = (START, SNOOZE) if trouble is Trouble.DOWN else (SNOOZE,)
    message = Message("down", "The gateway is down", body, buttons, NORMAL)
    yield _Concern("down", down and twice and past.was_up, not down and trouble is not Trouble.FOREIGN, message)
    refused = trouble is Trouble.KEY_REFUSED
    lost = trouble is Trouble.NO_KEY and past.was_well
    body = (
        "It was revoked, or was never one. Replace it with: orgate key set"
        if refused
        else "Give it one with: orgate key set"
    )
    title = "OpenRouter refuses the key" if refused else "The gateway has no key any more"
    message = Message("key", title, body, (KEYS, SNOOZE), CRITICAL)
    yield _Concern("key", (refused or lost) and twice, trouble is None, message)


def _about_balance(found: Credits, marks: tuple[Decimal, ...], now: datetime, hidden: bool) -> Iterator[_Concern]:
    left = found.remaining
    lasts = f" At this pace it lasts until about {words.coarse(found.ends_at, now)}." if found.ends_at else ""
    for mark in marks:
        last = len(marks) > 1 and mark == marks[-1]
        amount = "Little is left at OpenRouter." if hidden else f"{money(left)} is left at OpenRouter."
        title = "Almost no credits are left" if last else "Credits are low"
        message = Message("balance", title, f"{amount}{lasts}", (TOP_UP, OPEN, SNOOZE), CRITICAL if last else NORMAL)
        holds, over = _against(left, mark)
        yield _Concern(_mark("balance", mark), holds, over, message)


def _about_cap(found: Credits, marks: tuple[Decimal, ...], hidden: bool) -> Iterator[_Concern]:
    left = found.cap.left if found.cap else None
    for mark in marks if found.cap is None else marks_of_cap(found.cap, marks):
        body = words.key_cap(found.cap, hidden=hidden) if found.cap else ""
        message = Message("cap", "The key's cap is nearly used up", f"{body}.", (KEYS, OPEN, SNOOZE), NORMAL)
        holds, over = _against(left, mark)
        yield _Concern(_mark("cap", mark), holds, over or left is None, message)


def _about_refusal(snapshot: Snapshot) -> _Concern:
    refused = refused_for_money(snapshot.credits, snapshot.health)
    body = "The account's balance is not known, but OpenRouter refused the last call for want of money."
    return _Concern(
        "refused", refused, not refused, Message("refused", "The money is gone", body, (TOP_UP, OPEN, SNOOZE), CRITICAL)
    )


def _about_pace(found: Credits, told_at: float, now: datetime, hidden: bool) -> _Concern:
    over = found.unusual is False and now.timestamp() - told_at >= _AGAIN_AFTER_S
    cost = "The last hour cost far more than usual."
    if not hidden and found.last_hour is not None:
        cost = f"The last hour cost {money(found.last_hour)}, far more than usual."
    # A click on the message itself counts as its first button, which therefore must not be the one that stops all.
    message = Message("pace", "Unusual spending", cost, (OPEN, PAUSE, SNOOZE), NORMAL)
    return _Concern("pace", found.unusual is True, over, message)


def _about_free(found: Credits) -> Iterator[_Concern]:
    free = found.free
    if free is None or free.limit == 0:
        return
    body = f"{free.left} of {free.limit} requests to free models are left today."
    message = Message("free", "Free requests are nearly used up", body, (OPEN, SNOOZE), NORMAL)
    yield _Concern("free", free.used > 0 and free.left * 10 <= free.limit, free.left * 100 > free.limit * 12, message)


def _about_budget(budget: Budget, hidden: bool) -> _Concern:
    limit = "" if hidden else f" of {money(budget.limit)}"
    period = "" if budget.period == "total" else f" a {budget.period}"
    body = f"{budget.app} has used up its budget{limit}{period if not hidden else ''}."
    message = _budget_message(budget.app, budget.period, body)
    return _Concern(f"budget:{budget.app}:{budget.period}", budget.left <= 0, budget.left * 5 > budget.limit, message)


def _budget_message(app: str, period: str, body: str) -> Message:
    return Message(f"budget:{app}:{period}", f"{app}: budget used up", body, (OPEN, SNOOZE), NORMAL)


def _thanks(came_in: Decimal, snapshot: Snapshot, hidden: bool) -> Message:
    left = snapshot.credits.remaining if snapshot.credits else None
    body = "The purchase has arrived." if hidden else f"{money(came_in)} came in; {money(left)} is left at OpenRouter."
    return Message("top_up", "Top-up seen", body, (OPEN,), NORMAL)


def _against(left: Decimal | None, mark: Decimal) -> tuple[bool, bool]:
    """Whether the amount is below the mark, and whether it is clearly, by a fifth, above it."""
    return (False, False) if left is None else (left < mark, left * 5 > mark * 6)


def _mark(group: str, mark: Decimal) -> str:
    return f"{group}:{mark.normalize():f}"


def _group(episode: str) -> str:
    """The key of the message that an episode shares with others of its kind."""
    name = episode.partition(":")[0]
    return episode if _is_budget(episode) else name


def _is_budget(episode: str) -> bool:
    return episode.startswith("budget:")


def _next_morning(now: datetime) -> float:
    return (now + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0).timestamp()
