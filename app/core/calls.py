"""A call from an app and the facts that are told of it when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from app.core.chain import Plan
from app.core.errors import Json
from app.core.frozen import frozen
from app.core.grants import Grant
from app.core.meter import Usage
from app.core.shapes import dump
from app.core.styles import STYLES, Style
from app.core.wishes import Wishes


@frozen
class Recall:
    """What the cache of answers had for a call that asked for it."""

    found: str
    """"hit", "miss", or "bypass" for a call that it never serves."""
    age_s: float | None = None
    """How old the answer was that it had."""


@frozen
class Call:
    """One request of an app for an answer, checked and ready to be sent."""

    id: str
    grant: Grant
    endpoint: str
    """The API style's path: "/chat/completions"."""
    plan: Plan
    stream: bool
    raw: bytes
    """The body as it came."""
    changed: dict[str, Json] | None
    """The body as it is to be sent to the plan's first model, where that is another."""
    body: dict[str, Json]
    """What is sent, decoded: `changed`, or else `raw`. Its model is the first that was asked for."""
    headers: Mapping[str, str]
    """What OpenRouter is sent beside the key and the content type."""
    wishes: Wishes
    started: float
    """The monotonic clock, in seconds, when the gateway had the request."""
    lasting: bool = False
    """Once begun it runs to its end although the app has left: the app can ask for the answer again."""
    agent: str | None = None
    """The agent that was called, by its id."""
    recall: Recall | None = None
    """None for a call that did not ask for the cache of answers."""

    @property
    def size(self) -> int:
        """The bytes that are sent, or those that came where they were more: a hold errs upwards."""
        return len(self.raw) if self.changed is None else max(len(self.raw), len(self._written))

    def sent_to(self, model: str) -> bytes:
        """The body of an attempt that goes to this model."""
        if self.changed is None:
            return self.raw
        return self._written if self.changed.get("model") == model else dump({**self.changed, "model": model})

    @cached_property
    def _written(self) -> bytes:
        """What the first model is sent where it was changed, written once for its hold and for the way."""
        return dump(self.changed)

    @property
    def style(self) -> Style:
        """The API style that the app speaks."""
        return STYLES[self.endpoint]

    @property
    def app(self) -> str:
        """The name of the app."""
        return self.grant.app

    @property
    def model(self) -> str:
        """The model that the app asked for."""
        return self.plan.models[0]


@frozen
class CallReport:
    """The document's "Request Logging": what one call was and became. Nothing in it is message text."""

    call_id: str
    app: str
    endpoint: str
    model: str
    fallbacks: tuple[str, ...]
    stream: bool
    status: int
    """The HTTP status that the app saw; 499 when it left first."""
    outcome: str
    """"answered", "left" (the app closed), or the code of the error."""
    duration_s: float
    first_byte_s: float | None
    attempts: tuple[Mapping[str, object], ...]
    """Every attempt with model, status, reason, whether it was sent, and seconds."""
    served_model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    usage: Usage | None = None
    agent: str | None = None
    """The agent that was called."""
    overhead_s: float | None = None
    """What the gateway itself took before the first content, waits between attempts included; None without content."""
    recall: Recall | None = None
    """None where the cache of answers was not asked for; a hit has no attempts and costs nothing."""
