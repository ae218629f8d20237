"""Keeps the balance and the catalogue fresh while nobody asks (OPENROUTER_BACKGROUND_REFRESH)."""

from __future__ import annotations

import threading

from app.core.ports import Events
from app.services.agents import Agents
from app.services.credits import Credits
from app.services.models import Models


class Refresher:
    """A thread that fetches both at its start, the balance every `interval_ms`, the catalogue before it expires.

    It looks at the agents' files as often, so that the log tells of a bad one that nobody calls.
    """

    def __init__(
        self,
        credits: Credits,
        models: Models,
        agents: Agents,
        events: Events,
        *,
        interval_ms: int | None,
        models_ttl_ms: int,
    ) -> None:
        self._credits = credits
        self._models = models
        self._agents = agents
        self._events = events
        self._interval_s = interval_ms / 1000 if interval_ms else None
        self._models_life_s = models_ttl_ms / 1000
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; a second start does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="orgate-refresher", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(2)

    def _run(self) -> None:
        self._models.kept.refresh()
        self._agents.shelf()
        self._try_credits()
        if self._interval_s is None:
            return
        while not self._stopping.wait(self._interval_s):
            self._try_credits()
            self._agents.shelf()
            value = self._models.kept.peek()
            if value is None or value.age_s + self._interval_s >= self._models_life_s:
                self._models.kept.refresh()

    def _try_credits(self) -> None:
        try:
            self._credits.kept.refresh()
        except Exception as error:
            # The key may be gone for the moment; the next round asks again.
            self._events.debug("credits.refresh_skipped", error=type(error).__name__)
