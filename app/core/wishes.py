"""How an app, or its token, wants a call to be carried out: the X-Orgate-… request headers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core import forms
from app.core.forms import Kind, Parameter
from app.core.frozen import frozen

PREFIX = "X-Orgate-"

_SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
_LEAST_S = 0.001
_LONGEST_S = 86_400.0
_HASTY_S = 0.5


def _seconds_from(least: float) -> Kind:
    return Kind(
        "seconds, for example 60",
        {"type": "string", "pattern": f"^{_SECONDS.pattern}$", "examples": ["60"]},
        lambda text: bool(_SECONDS.fullmatch(text.strip())) and least <= float(text) <= _LONGEST_S,
    )


_PAUSE, _CLOCK = _seconds_from(0.0), _seconds_from(_LEAST_S)
_SWITCH = Kind("1 or 0", forms.words("1", "0").schema, forms.words("1", "0").holds)
_DELIVERY = Kind("live or whole", forms.words("live", "whole").schema, forms.words("live", "whole").holds)
_KINDS = {
    "delivery": (_DELIVERY, "live: the answer as it is made; whole: when it is complete, and not before."),
    "queue": (_PAUSE, "Wait so many seconds for the quota instead of being refused."),
    "first-content-timeout": (_CLOCK, "Seconds until the first content is due."),
    "idle-timeout": (_CLOCK, "Seconds of silence inside an answer."),
    "timeout": (_CLOCK, "Seconds for the whole call."),
    "retry-ambiguous": (_SWITCH, "Whether to repeat what may have been billed."),
    "past-policy": (_SWITCH, "Whether to ask the next model also after a refusal for the content."),
    "clamp": (_SWITCH, "Whether to ask once more with the max_tokens that can be paid for."),
    "cache": (_PAUSE, "Whether an answer to the same call may be given again, and how many seconds old it may be."),
}
HEADERS = {name: Parameter(PREFIX + name.title(), kind, about) for name, (kind, about) in _KINDS.items()}
"""What may be wished for; the header is the name behind the prefix, and a token may carry each as its own default."""

NAMES = tuple(HEADERS)


@frozen
class Wishes:
    """The wishes of one call; None leaves it to the settings. Times in seconds."""

    whole: bool = False
    """Deliver the answer when it is complete, and not before."""
    queue_s: float = 0.0
    """Wait so long for the quota instead of being refused."""
    first_content_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None
    retry_ambiguous: bool = False
    """Repeat what may have been billed."""
    past_policy: bool = False
    """Ask the next model also after a refusal for the content."""
    clamp: bool = False
    """Ask once more with the max_tokens that can be paid for, where the call as it is cannot."""
    cache_s: float | None = None
    """Give an answer again that is no older; 0 asks anew, None knows no cache (app/core/cache)."""

    @property
    def hasty(self) -> bool:
        """Whether a model may have had no time to answer: its silence says nothing of its health then."""
        return any(
            clock is not None and clock < _HASTY_S for clock in (self.first_content_s, self.idle_s, self.total_s)
        )


_NONE = Wishes()


def read(given: Mapping[str, str]) -> Wishes:
    """The wishes by their names; raises BadRequest for a value that cannot be meant."""
    if not given:
        return _NONE
    return Wishes(
        whole=_text(given, "delivery") == "whole",
        queue_s=_seconds(given, "queue") or 0.0,
        first_content_s=_seconds(given, "first-content-timeout"),
        idle_s=_seconds(given, "idle-timeout"),
        total_s=_seconds(given, "timeout"),
        retry_ambiguous=_flag(given, "retry-ambiguous"),
        past_policy=_flag(given, "past-policy"),
        clamp=_flag(given, "clamp"),
        cache_s=_seconds(given, "cache"),
    )


def _flag(given: Mapping[str, str], name: str) -> bool:
    return _text(given, name) == "1"


def _seconds(given: Mapping[str, str], name: str) -> float | None:
    text = _text(given, name)
    return None if text is None else float(text)


def _text(given: Mapping[str, str], name: str) -> str | None:
    text = given.get(name)
    if text is not None and not HEADERS[name].kind.holds(text):
        raise HEADERS[name].refusal()
    return text
