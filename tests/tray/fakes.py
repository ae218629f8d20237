"""The tray's ports without a desktop behind them; they record what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from tests.tray.builders import AT
from tray.client import Failed
from tray.figures import EVERYBODY
from tray.notebook import Notes
from tray.reading import Reading, Trouble
from tray.rows import Row


class FakeClock:
    """Two clocks that only move when a test moves them; in sleep the steady one stands still."""

    def __init__(self) -> None:
        self.wall, self.steady = AT, 1000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_(self, seconds: float) -> None:
        """Time goes by."""
        self.wall += seconds
        self.steady += seconds

    def sleep(self, seconds: float) -> None:
        """The computer sleeps."""
        self.wall += seconds


@dataclass
class RecordingShell:
    """A tray that shows nothing to nobody."""

    shown: list[tuple[Image.Image, str, tuple[Row, ...]]] = field(default_factory=list)
    stopped: int = 0

    def show(self, image: Image.Image, title: str, rows: Sequence[Row]) -> None:
        self.shown.append((image, title, tuple(rows)))

    def stop(self) -> None:
        self.stopped += 1

    @property
    def title(self) -> str:
        return self.shown[-1][1]

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.shown[-1][2]

    def texts(self) -> list[str]:
        """All rows and those below them."""
        return [row.text for top in self.rows for row in (top, *top.children)]

    def actions(self) -> list[str]:
        """What can be chosen."""
        return [row.action for top in self.rows for row in (top, *top.children) if row.action]


@dataclass(frozen=True)
class Sent:
    """A message that was shown."""

    key: str
    title: str
    body: str
    actions: tuple[str, ...]
    urgency: str


@dataclass
class RecordingNotifier:
    """Messages that nobody sees."""

    sent: list[Sent] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def send(
        self, key: str, title: str, body: str, buttons: Sequence[tuple[str, str]] = (), urgency: str = "normal"
    ) -> None:
        self.sent.append(Sent(key, title, body, tuple(action for action, _ in buttons), urgency))

    def close(self, key: str) -> None:
        self.closed.append(key)

    def keys(self) -> list[str]:
        """What was said, in order."""
        return [one.key for one in self.sent]


@dataclass
class ScriptedGateway:
    """Answers what it is given."""

    reading: Reading
    asked: list[str] = field(default_factory=list)
    forced: list[bool] = field(default_factory=list)
    refuses: bool = False
    page: bool = False

    def look(self, *, force: bool = False) -> Reading:
        self.forced.append(force)
        return self.reading

    def pause(self, app: str = EVERYBODY) -> int:
        return self._ask(f"pause {app}")

    def resume(self, app: str = EVERYBODY) -> None:
        self._ask(f"resume {app}")

    def end(self, app: str = EVERYBODY) -> int:
        return self._ask(f"end {app}")

    def has_page(self) -> bool:
        return self.page

    def _ask(self, what: str) -> int:
        if self.refuses:
            raise Failed(Trouble.DOWN, "No gateway is running.")
        self.asked.append(what)
        return 2


@dataclass
class ScriptedLauncher:
    """Starts nothing."""

    runs: bool = False
    can_start: bool = True
    ended: str | None = None
    asked: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.asked.append("start")
        self.runs, self.can_start = True, False

    def stop(self) -> None:
        self.asked.append("stop")
        self.runs, self.can_start = False, True

    def why_ended(self) -> str | None:
        ended, self.ended = self.ended, None
        return ended


@dataclass
class ScriptedLogin:
    """Remembers whether it is enabled."""

    enabled: bool = False
    broken: bool = False

    def is_enabled(self) -> bool:
        return self.enabled

    def enable(self) -> None:
        if self.broken:
            raise OSError("read-only")
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False


@dataclass
class RecordingDesk:
    """A desk without browser or clipboard."""

    opened: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    works: bool = True

    def open(self, url: str) -> bool:
        self.opened.append(url)
        return self.works

    def copy(self, text: str) -> bool:
        self.copied.append(text)
        return self.works


@dataclass
class MemoryNotebook:
    """Notes that are gone with the test."""

    notes: Notes = field(default_factory=Notes)
    writes: int = 0

    def read(self) -> Notes:
        return self.notes

    def write(self, notes: Notes) -> None:
        self.writes += notes != self.notes
        self.notes = notes
