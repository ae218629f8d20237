"""How things stand, in words: amounts, moments, the sentence, the title and the glyphs of the icon; pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from tray.figures import Cap, Credits
from tray.limits import TOOLTIP, cut
from tray.reading import Trouble
from tray.state import Snapshot, State, refused_for_money

_HIDDEN = "•••"
_CENT = Decimal("0.01")
_ADVERBS = {"daily": "new every day", "weekly": "new every week", "monthly": "new every month"}
_NO_END = {
    "not_enough_data": "too early to tell how long it lasts",
    "nothing_spent": "the money lasts",
    "balance_unknown": "nobody knows how long it lasts",
    "spent": "nothing is left",
}


def money(dollars: Decimal | None, *, hidden: bool = False) -> str:
    """An amount for people: "$17.58", "<$0.01", "unknown"."""
    if dollars is None:
        return "unknown"
    if hidden:
        return _HIDDEN
    if 0 < dollars < _CENT:
        return "<$0.01"
    # Rounded down for what is left would show less than was bought; amounts here are read, not reckoned with.
    shown = dollars.quantize(_CENT, ROUND_HALF_EVEN)
    return f"{'-' if shown < 0 else ''}${abs(shown):,}"


def badge(snapshot: Snapshot, *, hidden: bool = False) -> str:
    """What the icon shows in up to three glyphs, never more than there is; "" where the shape says it all."""
    if snapshot.state in (State.NO_KEY, State.PAUSED):
        return ""
    if snapshot.amount is None:
        return "" if snapshot.state is State.OFFLINE else "?"
    if hidden:
        return {State.LOW: "!", State.CRITICAL: "!!"}.get(snapshot.level, "ok")
    return glyphs(snapshot.amount.dollars)


def glyphs(dollars: Decimal) -> str:
    """An amount in up to three glyphs, rounded down: "99+", "17", "4.5", ".45", "0"."""
    if dollars >= 100:
        return "99+"
    if dollars >= 10:
        return str(int(dollars))
    if dollars >= 1:
        return str(dollars.quantize(Decimal("0.1"), ROUND_FLOOR)).removesuffix(".0")
    cents = int(dollars * 100)
    return f".{cents:02d}" if cents > 0 else "0"


def sentence(snapshot: Snapshot, now: datetime, *, hidden: bool = False) -> str:
    """How things stand, in one sentence; where something is wrong, what to do about it."""
    trouble = snapshot.trouble
    if trouble is not None:
        return _of_trouble(snapshot, trouble, now, hidden)
    if snapshot.state is State.PAUSED:
        return f"All programs are paused. {_left(snapshot, hidden)}"
    return _left(snapshot, hidden)


def title(snapshot: Snapshot, now: datetime, *, hidden: bool = False) -> str:
    """The icon's tooltip: the sentence, what today cost, until when it lasts; short enough for Windows."""
    parts = [sentence(snapshot, now, hidden=hidden).rstrip(".")]
    if snapshot.trouble is None:
        if snapshot.today is not None:
            parts.append(f"today {money(snapshot.today.total, hidden=hidden)}")
        if snapshot.credits is not None and snapshot.credits.ends_at is not None:
            parts.append(f"until about {coarse(snapshot.credits.ends_at, now)}")
    return cut(f"orgate: {' · '.join(parts)}", TOOLTIP)


def balance(snapshot: Snapshot, *, hidden: bool = False) -> str:
    """What is left, as a row: the balance, or the key's cap, which is never called one."""
    found = snapshot.credits
    if found is None:
        return "Balance unknown"
    if found.remaining is not None:
        whole = f" of {money(found.total)}" if found.total is not None and not hidden else ""
        return f"{money(found.remaining, hidden=hidden)} left{whole}"
    return key_cap(found.cap, hidden=hidden) if found.cap else "Balance not told to this key, which has no cap"


def key_cap(cap: Cap, *, hidden: bool = False) -> str:
    """What the key may still spend, as a row."""
    whole = f" of {money(cap.limit)}" if cap.limit is not None and not hidden else ""
    again = f", {_ADVERBS.get(cap.resets, cap.resets)}" if cap.resets else ""
    return f"Key cap: {money(cap.left, hidden=hidden)}{whole} left{again}"


def pace(credits: Credits, now: datetime, *, hidden: bool = False) -> str:
    """How fast money is spent and when it ends, as a row; coarse, so that it stands still while nothing happens."""
    end = (
        f"lasts until about {coarse(credits.ends_at, now)}"
        if credits.ends_at is not None
        else _NO_END.get(credits.no_end or "", "nobody knows how long it lasts")
    )
    if credits.per_hour is None:
        return f"Pace: {end}"
    speed = "nothing spent lately" if credits.per_hour <= 0 else f"{money(credits.per_hour, hidden=hidden)} an hour"
    return f"Pace: {speed}; {end}" if credits.no_end != "nothing_spent" else f"Pace: {speed}"


def clock_time(seconds: float, now: datetime) -> str:
    """A moment in seconds since 1970 to the minute, with its day unless that is today."""
    moment = datetime.fromtimestamp(seconds, now.tzinfo)
    time = f"{moment:%H:%M}"
    return time if moment.date() == now.date() else f"{_day(moment.date(), now.date())} {time}"


def coarse(seconds: float, now: datetime) -> str:
    """A moment in seconds since 1970 to the hour when that is today or tomorrow, else the day."""
    moment = datetime.fromtimestamp(seconds, now.tzinfo)
    rounded = (moment + timedelta(minutes=30)).replace(minute=0, second=0, microsecond=0)
    if rounded.date() == now.date():
        return f"{rounded:%H:%M}"
    if rounded.date() == now.date() + timedelta(days=1):
        return f"{rounded:%H:%M} tomorrow"
    return _day(moment.date(), now.date())


def _day(day: date, today: date) -> str:
    return f"{day.day} {day:%b}" if day.year == today.year else f"{day.day} {day:%b %Y}"


def _left(snapshot: Snapshot, hidden: bool) -> str:
    amount, found = snapshot.amount, snapshot.credits
    if refused_for_money(found, snapshot.health):
        return "OpenRouter refused the last call for want of money."
    if amount is None or found is None:
        return "OpenRouter does not tell this key the balance, and the key has no cap."
    shown = money(amount.dollars, hidden=hidden)
    where = "of the key's cap" if amount.is_cap else "at OpenRouter"
    if snapshot.level is State.OK:
        return f"Enough is left {where}." if hidden else f"{shown} is left {where}."
    if amount.dollars <= 0:
        return f"Nothing is left {where}." if hidden else f"Nothing is left {where}: {shown}."
    if snapshot.level is State.CRITICAL:
        return f"Almost nothing is left {where}." if hidden else f"Only {shown} is left {where}."
    return f"Little is left {where}." if hidden else f"Little is left {where}: {shown}."


def _of_trouble(snapshot: Snapshot, trouble: Trouble, now: datetime, hidden: bool) -> str:
    place = snapshot.reading.base_url
    match trouble:
        case Trouble.DOWN:
            where = f" at {place}" if place else ""
            return f"The gateway is not running{where}. Start it with: orgate serve"
        case Trouble.SILENT:
            return f"The gateway at {place} does not answer. Look at its log, or start it anew."
        case Trouble.FOREIGN:
            return f"What answers at {place} is no orgate gateway. Check ORGATE_URL and ORGATE_PORT."
        case Trouble.NO_TOKEN:
            return "The tray has no token for the gateway. Put one into ORGATE_TOKEN; orgate token issue makes one."
        case Trouble.TOKEN_REFUSED:
            return "The gateway refuses the tray's token. Remove ORGATE_TOKEN, or put a good one there."
        case Trouble.NO_KEY:
            return "The gateway has no OpenRouter key. Give it one with: orgate key set"
        case Trouble.KEY_REFUSED:
            return "OpenRouter refuses the gateway's key. Replace it with: orgate key set"
        case Trouble.UNREACHABLE:
            return f"OpenRouter cannot be reached.{_before(snapshot, now, hidden)}"
        case Trouble.REFUSED:
            return snapshot.reading.why or "The gateway cannot tell the balance."


def _before(snapshot: Snapshot, now: datetime, hidden: bool) -> str:
    amount = snapshot.amount
    if amount is None or snapshot.credits is None:
        return " The balance is unknown until then."
    at = clock_time(snapshot.credits.as_of, now)
    if hidden:
        return f" The figures are those of {at}."
    where = " of the key's cap" if amount.is_cap else ""
    return f" {money(amount.dollars)} was left{where} at {at}."
