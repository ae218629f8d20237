"""What the random walk draws from: models that answer, fail or stall, and apps of all manners."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_NUMBERED = range(1, 6)

GOOD = (
    *("ok", "echo", "drip-1", "long-50", "delay-20", "crlf", "utf8-split", "after-done", "no-done", "early-hints"),
    *("duplicate-usage", "no-usage", "absurd-usage-0", "absurd-usage-1", "absurd-usage-2", "absurd-usage-3"),
)
BAD = (
    *(f"status-{code}" for code in (400, 404, 408, 413, 422, 500, 502, 503, 504, 520, 529)),
    *("400-context-length", "403-guardrail", "404-no-endpoints", "429-free-daily", "429-upstream", "402-in-flight-0"),
    *("429-retry-after-0", "429-retry-after-40", "503-retry-after-0", "502-html", "520-html", "redirect-307"),
    *("reset", "garbage", "short-length", "error-in-200", "empty", "no-choices", "204", "gzip-lie", "wrong-type"),
    *(f"{name}-{n}" for name in ("reset-mid", "cut", "cut-clean", "garbage-stream") for n in _NUMBERED),
    *(f"{name}-{n}" for name in ("choice-error", "error-mid", "error-mid-recorded") for n in _NUMBERED),
)
STALLING = (
    *("silence", "headers-then-silence", "comments", "no-done-open"),
    *(f"{name}-{n}" for name in ("stall", "stall-comments") for n in _NUMBERED),
)
MANNERS = ("plain", "stream", "whole", "whole-stream", "leaves", "slow", "sdk")


@dataclass(frozen=True)
class Step:
    """One call, as drawn."""

    models: tuple[str, ...]
    manner: str
    stream: bool
    total_s: float
    silent_s: float
    stays_s: float
    """When it leaves, if it does."""
    rude: bool
    """It leaves with a reset."""

    @property
    def wishes(self) -> tuple[str, ...]:
        """The call's own clocks and delivery, as header lines."""
        clocks = (
            f"X-Orgate-Timeout: {self.total_s:.3f}",
            f"X-Orgate-First-Content-Timeout: {self.silent_s:.3f}",
            f"X-Orgate-Idle-Timeout: {self.silent_s:.3f}",
        )
        return (*clocks, "X-Orgate-Delivery: whole") if self.manner.startswith("whole") else clocks


def drawn(seed: int, number: int) -> Step:
    """The step of this number: the same for the same seed, whichever thread takes it."""
    chance = Random(f"{seed}:{number}")
    decks = chance.choices((GOOD, BAD, STALLING), (4, 4, 1), k=chance.choice((1, 1, 2, 2, 3, 4)))
    manner = chance.choice(MANNERS)
    return Step(
        models=tuple(dict.fromkeys(f"sandbox/{chance.choice(deck)}" for deck in decks)),
        manner=manner,
        stream=manner in ("stream", "whole-stream", "slow") or (manner in ("leaves", "sdk") and chance.random() < 0.5),
        total_s=chance.uniform(0.4, 1.5),
        silent_s=chance.uniform(0.1, 0.3),
        stays_s=chance.choice((0.0, chance.uniform(0, 0.05), chance.uniform(0, 0.5))),
        rude=chance.random() < 0.5,
    )
