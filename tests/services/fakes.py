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
    """A dict, which counts how often it is looked into."""

    def __init__(self, *, is_shared: bool = False) -> None:
        self.is_shared = is_shared
        self.values: dict[str, bytes] = {}
        self.looks = 0

    def get(self, name: str) -> bytes | None:
        self.looks += 1
        return self.values.get(name)

    def put(self, name: str, value: bytes) -> None:
        self.values[name] = value


class Books:
    """The part of a ledger that tells what was spent, and keeps facts in a dict."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.spendings: list[tuple[float, int]] = []
        self.error: Exception | None = None
        self.reads = 0

    def spent_between(self, since: float, until: float) -> int:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return sum(amount for at, amount in self.spendings if since <= at < until)

    def began_at(self) -> float | None:
        return min((at for at, _ in self.spendings), default=None)

    def fact(self, name: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.facts.get(name)

    def keep_fact(self, name: str, value: str | None) -> None:
        self.facts.pop(name, None)
        if value is not None:
            self.facts[name] = value


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.facts: list[dict[str, object]] = []
        self.reports: list[CallReport] = []

    def call_ended(self, report: CallReport) -> None:
        self.reports.append(report)

    def note(self, event: str, **facts: object) -> None:
        self.told.append(event)
        self.facts.append(facts)

    warn = debug = note

    def of(self, event: str) -> list[dict[str, object]]:
        """The facts of every event of this name."""
        return [facts for name, facts in zip(self.told, self.facts, strict=True) if name == event]

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        self.note(event, **facts)
