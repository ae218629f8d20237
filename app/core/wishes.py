"""How an app, or its token, wants a call to be carried out: the X-Orgate-… request headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import BadRequest

PREFIX = "X-Orgate-"
NAMES = (
    "delivery", "queue", "first-content-timeout", "idle-timeout", "timeout", "retry-ambiguous", "past-policy", "clamp",
    "cache",
)  # fmt: skip
"""What may be wished for; the header is the name behind the prefix, and a token may carry each as its own default."""

_SECONDS = re.compile(r"\d{1,5}(\.\d{1,3})?")
_LONGEST_S = 86_400.0
_HASTY_S = 0.5


@dataclass(frozen=True)
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


def read(given: Mapping[str, str]) -> Wishes:
    """The wishes by their names; raises BadRequest for a value that cannot be meant."""
    delivery = given.get("delivery", "live")
    if delivery not in ("live", "whole"):
        raise BadRequest("X-Orgate-Delivery takes live or whole.", param="X-Orgate-Delivery")
    return Wishes(
        whole=delivery == "whole",
        queue_s=_seconds(given, "queue", least=0.0) or 0.0,
        first_content_s=_seconds(given, "first-content-timeout"),
        idle_s=_seconds(given, "idle-timeout"),
        total_s=_seconds(given, "timeout"),
        retry_ambiguous=_flag(given, "retry-ambiguous"),
        past_policy=_flag(given, "past-policy"),
        clamp=_flag(given, "clamp"),
        cache_s=_seconds(given, "cache", least=0.0),
    )


def _flag(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "0")
    if text not in ("0", "1"):
        header = PREFIX + name.title()
        raise BadRequest(f"{header} takes 1 or 0.", param=header)
    return text == "1"


def _seconds(given: Mapping[str, str], name: str, least: float = 0.001) -> float | None:
    text = given.get(name)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text.strip()) or not least <= float(text) <= _LONGEST_S:
        header = PREFIX + name.title()
        raise BadRequest(f"{header} takes seconds, for example 60.", param=header)
    return float(text)
