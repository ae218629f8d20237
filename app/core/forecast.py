"""How fast money is spent and when it ends; what too little is known of is None, never a guess."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.frozen import frozen
from app.core.money import NANO

HOUR_S = 3600
DAY_S = 24 * HOUR_S
WINDOWS = {"1h": HOUR_S, "24h": DAY_S, "7d": 7 * DAY_S}
"""The stretches of time that are looked back on, in seconds."""

_FARTHEST_S = 100 * 365 * DAY_S
_UNUSUAL_TIMES = 5
_UNUSUAL_FROM = NANO // 2


@frozen
class Forecast:
    """The pace of spending and where it leads."""

    per_hour: Mapping[str, int | None]
    """Nano-dollars an hour over the last "1h", "24h" and "7d"; None where less than half of that is on record."""
    ends_at: float | None
    """Seconds since 1970 when nothing is left, at the pace of the last day, or of the last hour until that is known."""
    reason: str | None
    """
    Why there is no such moment: "not_enough_data", "nothing_spent" (or so little that the money lasts a century),
    "balance_unknown", or "spent" (nothing is left).
    """
    unusual: bool | None
    """The last hour cost far more than the usual: over five times the week's pace, and over $0.50. None: not known."""


def forecast(spent: Mapping[str, int], began_at: float | None, now: float, remaining: int | None) -> Forecast:
    """
    The forecast from what was spent in each window and what remains, in nano-dollars.

    `began_at` is when the record begins and `now` the moment that the windows end at, in seconds since 1970.
    """
    recorded_s = 0 if began_at is None else int(now - began_at)
    per_hour = {name: _per_hour(spent[name], recorded_s, window_s) for name, window_s in WINDOWS.items()}
    pace = per_hour["1h"] if per_hour["24h"] is None else per_hour["24h"]
    unusual = _is_unusual(per_hour["1h"], per_hour["7d"])
    if remaining is None or remaining <= 0:
        return Forecast(per_hour, None, "balance_unknown" if remaining is None else "spent", unusual)
    if pace is None:
        return Forecast(per_hour, None, "not_enough_data", unusual)
    left_s = remaining * HOUR_S // pace if pace > 0 else _FARTHEST_S
    if left_s >= _FARTHEST_S:
        return Forecast(per_hour, None, "nothing_spent", unusual)
    return Forecast(per_hour, now + left_s, None, unusual)


def about(seconds: float) -> str:
    """A stretch of time for people: "about 6 days"."""
    for unit_s, name in ((365 * DAY_S, "years"), (30 * DAY_S, "months"), (DAY_S, "days"), (HOUR_S, "hours")):
        if seconds >= (1.5 if unit_s < 30 * DAY_S else 2) * unit_s:
            return f"about {seconds / unit_s:.0f} {name}"
    return f"about {seconds / 60:.0f} minutes" if seconds >= 90 else "about a minute"


def _per_hour(spent: int, recorded_s: int, window_s: int) -> int | None:
    covered_s = min(recorded_s, window_s)
    return spent * HOUR_S // covered_s if covered_s * 2 >= window_s else None


def _is_unusual(lately: int | None, usually: int | None) -> bool | None:
    if lately is None or usually is None:
        return None
    return lately > _UNUSUAL_FROM and lately > _UNUSUAL_TIMES * usually
