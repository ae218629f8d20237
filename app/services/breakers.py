"""The breakers of all models, and the one for everything that a refused key or an empty account opens."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Mapping

from app.core.attempts import Cause, Tried
from app.core.breaker import Breaker
from app.core.chain import affordable_of
from app.core.errors import GatewayError
from app.core.frozen import frozen
from app.core.ports import Clock
from app.core.shared import Nobody, Others
from app.core.verdict import counts_against_model

_NONE: frozenset[str] = frozenset()
_PROBE_S = 30.0
"""A key or an account that cannot be seen to change is tried again this often, with one real call."""


@frozen
class _Shut:
    """Why nothing is sent, and under which circumstances that was said."""

    error: GatewayError
    cause: Cause
    circumstances: tuple[str, int | None]
    probe_at: float


class Breakers:
    """Knows which models rest; shared by all calls of a process."""

    def __init__(self, clock: Clock, others: Others | None = None) -> None:
        self._clock = clock
        self._others = others or Nobody()
        self._lock = threading.Lock()
        self._models: dict[str, Breaker] = {}
        self._shut: _Shut | None = None

    def resting(self, models: Collection[str]) -> frozenset[str]:
        """Those of the models that are not to be asked now."""
        if not self._models:
            # So it is nearly always, and every call asks.
            return _NONE
        now = self._clock.monotonic()
        with self._lock:
            return frozenset(name for name in models if not self._models.get(name, Breaker()).allows(now))

    def claim(self, model: str) -> bool:
        """Whether an attempt may go out; of those that find an open breaker ready for its probe, only one may."""
        if model not in self._models:
            return True
        now = self._clock.monotonic()
        with self._lock:
            breaker = self._models.get(model)
            if breaker is None:
                return True
            allowed = breaker.allows(now)
            self._models[model] = breaker.sent(now) if allowed else breaker
            return allowed

    def began(self, model: str, *, free: bool) -> None:
        """The model has begun to answer: key and account are well, and the model is as far as can be seen."""
        if self._shut is None and model not in self._models:
            return
        with self._lock:
            if model in self._models:
                self._models[model] = self._models[model].began()
            if self._shut is not None and not (free and self._shut.cause is Cause.MONEY):
                self._shut = None

    def broke_off(self, model: str) -> None:
        """An answer that had begun was not brought to its end."""
        now = self._clock.monotonic()
        with self._lock:
            self._models[model] = self._models.get(model, Breaker()).failed(now)

    def answered(self, model: str) -> None:
        """The model gave a whole answer: it is well."""
        if model in self._models:
            with self._lock:
                self._models.pop(model, None)

    def failed(self, tried: Tried, key_id: str, remaining: int | None) -> None:
        """An attempt failed; `key_id` and `remaining` (nano-dollars) are the circumstances that may change."""
        now = self._clock.monotonic()
        with self._lock:
            if counts_against_model(tried.cause, tried.error.status):
                self._models[tried.model] = self._models.get(tried.model, Breaker()).failed(now)
            if _holds_for_all(tried, remaining):
                self._shut = _Shut(copy.copy(tried.error), tried.cause, (key_id, remaining), now + _PROBE_S)

    def closed_door(self, key_id: str, remaining: Callable[[], int | None], *, free: bool) -> GatewayError | None:
        """
        The refusal that would only be repeated, or None when a call may be sent: the key or the balance is another
        one now, the model is free while money is what lacks, or it is time to find out.
        """
        if self._shut is None:
            return None
        now, circumstances = self._clock.monotonic(), (key_id, remaining())
        with self._lock:
            shut = self._shut
            if shut is None or shut.circumstances != circumstances or (free and shut.cause is Cause.MONEY):
                return None
            if now < shut.probe_at:
                return copy.copy(shut.error)
            self._shut = _Shut(shut.error, shut.cause, shut.circumstances, now + _PROBE_S)
            return None

    def state(self) -> dict[str, object]:
        """What rests in any process, for people: the models with open breakers, and why nothing is sent at all."""
        states = [*self._others.resting(), self.own_state()]
        models = {name: told for state in states for name, told in _models(state).items()}
        return {"models": models, "everything": next((why for state in states if (why := state["everything"])), None)}

    def own_state(self) -> dict[str, object]:
        """The same of this process alone."""
        now = self._clock.monotonic()
        with self._lock:
            models = {
                name: {"failures": breaker.failures, "rests_s": max(0.0, round((breaker.rests_until or now) - now, 1))}
                for name, breaker in self._models.items()
                if breaker.is_open
            }
            return {"models": models, "everything": self._shut.error.code if self._shut else None}


def _models(state: Mapping[str, object]) -> Mapping[str, object]:
    models = state["models"]
    assert isinstance(models, dict)
    return models


def _holds_for_all(tried: Tried, remaining: int | None) -> bool:
    """Whether every other call would be refused as well: the key is, or no money is left as far as is known."""
    if tried.cause is Cause.KEY:
        return True
    return tried.cause is Cause.MONEY and affordable_of(tried.error) is None and (remaining is None or remaining <= 0)
