"""Whether calls can be answered, told without making anyone wait."""

from __future__ import annotations

from app.core.catalogue import Query
from app.core.errors import GatewayError
from app.core.frozen import frozen
from app.core.ports import Clock
from app.services.credits import Credits
from app.services.kept import Kept
from app.services.models import Models

_MAX_WAIT_S = 2.0


@frozen
class Health:
    """The document's health check: booleans only, or the reason why not."""

    credits: bool
    """Money is left, as far as is known."""
    models: bool
    credits_cached: bool
    models_cached: bool
    error: str | None = None


class HealthCheck:
    """Reads the caches and waits no more than 2 s in all for OpenRouter."""

    def __init__(self, credits: Credits, models: Models, clock: Clock) -> None:
        self._credits = credits
        self._models = models
        self._clock = clock

    def get(self) -> Health:
        """The state as of now; `error` is set when OpenRouter cannot be asked and what is known has grown old."""
        deadline = self._clock.monotonic() + _MAX_WAIT_S
        try:
            # Both are under way before the first is waited for.
            if not _is_fresh(self._models.kept):
                self._models.kept.refresh()
            balance = self._credits.get(max_wait_s=deadline - self._clock.monotonic())
            models = self._models.get(Query(), max_wait_s=max(0.0, deadline - self._clock.monotonic()))
        except GatewayError as error:
            return Health(False, False, False, False, error.message)
        if balance.stale or models.stale:
            what = "balance" if balance.stale else "catalogue"
            return Health(False, False, False, False, f"OpenRouter cannot be asked; the {what} is out of date.")
        return Health(
            credits=not balance.figures.exhausted,
            models=models.listing.count > 0,
            credits_cached=_is_fresh(self._credits.kept),
            models_cached=_is_fresh(self._models.kept),
        )


def _is_fresh(kept: Kept) -> bool:
    value = kept.peek()
    return value is not None and not value.stale
