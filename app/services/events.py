"""Tells every sink what happened; a sink that fails harms nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from app.core.calls import CallReport
from app.core.ports import Events


class Fanout:
    """One Events port in front of many sinks: the log, metrics, the bulletin and error reports."""

    def __init__(self, sinks: Sequence[Events], *, details: Sequence[Events] = ()) -> None:
        """Those of `details` are told details too: every call has some, which few want to hear."""
        self._sinks = tuple(sinks)
        self._details = tuple(details)

    def call_ended(self, report: CallReport) -> None:
        """A call is over."""
        self._each(lambda sink: sink.call_ended(report))

    def note(self, event: str, **facts: object) -> None:
        """Something worth an info line happened."""
        self._each(lambda sink: sink.note(event, **facts))

    def warn(self, event: str, **facts: object) -> None:
        """Something the owner should know happened."""
        self._each(lambda sink: sink.warn(event, **facts))

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """Our own code failed."""
        self._each(lambda sink: sink.broke(event, error, **facts))

    def debug(self, event: str, **facts: object) -> None:
        """A detail."""
        for sink in self._details:
            with suppress(Exception):
                sink.debug(event, **facts)

    def _each(self, tell: Callable[[Events], None]) -> None:
        for sink in self._sinks:
            with suppress(Exception):
                tell(sink)
