"""Ports without an outside."""

from __future__ import annotations

from app.core.calls import CallReport


class FakeClock:
    """Time that only moves when a test moves it."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class MemoryCache:
    """A dict."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.values.get(name)

    def put(self, name: str, value: bytes) -> None:
        self.values[name] = value


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reports: list[CallReport] = []

    def call_ended(self, report: CallReport) -> None:
        self.reports.append(report)

    def note(self, event: str, **facts: object) -> None:
        self.told.append(event)

    warn = debug = note

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        self.told.append(event)
