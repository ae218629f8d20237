"""What can become of an attempt."""

from __future__ import annotations

from enum import Enum, IntEnum

from app.core.errors import GatewayError
from app.core.frozen import frozen


class Phase(IntEnum):
    """How far an attempt got, as seen at its connection and its bytes, never guessed from an exception."""

    NEW = 0
    CONNECTING = 1
    SENDING = 2
    SENT = 3
    """Every byte of the request is out: from here on it may be carried out and billed."""
    HEADERS = 4
    STREAMING = 5
    """The answer has begun, without content so far."""
    COMMITTED = 6
    """Content has gone to the app."""
    ENDED = 7
    """The answer, be it a refusal, came to its end."""


class Cause(Enum):
    """Why an attempt gave no answer; it decides what may follow."""

    UNSENT = "unsent"
    """Not fully sent, or it never reached OpenRouter: nobody can have been billed."""
    BUSY = "busy"
    """OpenRouter refused for the moment (429, 503, 529, an in-flight 402) and says so in JSON."""
    BROKEN = "broken"
    """OpenRouter failed before any content (500, 502, 408 in JSON) and does not charge for it."""
    MODEL = "model"
    """This model cannot: unknown, withdrawn, not allowed, timed out at its provider."""
    TOO_LONG = "too_long"
    """The prompt does not fit this model."""
    REQUEST = "request"
    """Every model would say this of the request, or nothing may be sent at all."""
    KEY = "key"
    """OpenRouter refuses the key."""
    MONEY = "money"
    """The account, or what the key may spend, does not cover it."""
    POLICY = "policy"
    """Refused for its content: an answer, if an unwelcome one."""
    DAILY = "daily"
    """The free tier's requests of today are used up, for all free models alike."""
    SILENT = "silent"
    """Sent, and nothing of use came in time."""
    LOST = "lost"
    """Sent, and what came is no answer: the outcome is not known."""
    EMPTY = "empty"
    """An answer without content."""
    LEFT = "left"
    """The app left, or the gateway is stopping."""


@frozen
class Tried:
    """An attempt that is over and gave no answer."""

    model: str
    cause: Cause
    error: GatewayError
    """What the app is told if nothing better follows."""
    phase: Phase
    seconds: float

    def told(self) -> dict[str, object]:
        """The attempt as a member of error.details.attempts and of the call's story."""
        return {
            "model": self.model,
            "status": self.error.status,
            "reason": self.error.code,
            "sent": self.phase >= Phase.SENT,
            "phase": self.phase.name.lower(),
            "seconds": round(self.seconds, 3),
        }
