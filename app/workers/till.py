"""What a carrier has to do with quota, books and the memory of calls: told together, since each message costs time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.core.budget import Budget
from app.core.calls import CallReport
from app.core.errors import Json
from app.core.grants import Grant
from app.core.ledger import Closing, Hold
from app.core.ports import Allowance
from app.workers.lines import Lines

_LATER_S = 0.25
_FRESH_S = 0.05
_CHAT = "chat"


@dataclass
class Notes:
    """What one thread has still to tell, and what it was told last."""

    entry: Grant | None = None
    """The app whose attempt is to be counted with its hold."""
    grant: Grant | None = None
    """The app whose call it is."""
    closings: list[Closing] = field(default_factory=list)
    """What is to be written down with the end of the call, which follows at once."""
    told: tuple[float, str, str | None, Allowance] | None = None
    """When it was told where which app stands in its quota for chat, and where."""


class CommonTill:
    """The Quotas port, and the Gate, the Books and the Storybook of all processes; the keeper has them."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._local = threading.local()
        self._names = _Names(lines)

    def take(self, app: str, kind: str, rate: str | None) -> Allowance | None:
        """Count one more request; where the app stands if the quota is used up."""
        found: Allowance | None = self._lines.ask("take", app, kind, rate)
        return found

    def look(self, app: str, kind: str, rate: str | None) -> Allowance:
        """Where the app stands, without counting."""
        notes = self._notes
        told, notes.told = notes.told, None
        # An answer is about to go out, whose call has just ended.
        if told and kind == _CHAT and told[1:3] == (app, rate) and time.monotonic() - told[0] < _FRESH_S:
            return told[3]
        found: Allowance = self._lines.ask("look", app, kind, rate)
        return found

    def enter(self, grant: Grant, queue_s: float, wait: Callable[[float], None]) -> None:
        """
        Count one attempt, together with its hold, which raises RateLimited then.

        Calls that would queue are passed on whole, and never come here.
        """
        self._tell_entry()
        notes = self._notes
        notes.entry = notes.grant = grant

    def reserve(self, hold: Hold, budgets: Sequence[Budget]) -> None:
        """Count the attempt and commit its hold; raises RateLimited, BudgetExceeded or Unavailable."""
        notes = self._notes
        entry, notes.entry = notes.entry, None
        self._lines.ask("reserve", entry, hold, budgets)

    def identify(self, attempt_id: str, generation_id: str) -> None:
        """OpenRouter's id of an attempt under way; short ones never need it."""
        self._names.note(attempt_id, generation_id)

    def close(self, hold: Hold, closing: Closing, *, is_last: bool = False) -> None:
        """What became of an attempt; of the last one it is told together with the call's report."""
        self._names.forget(closing.attempt_id)
        if is_last:
            self._notes.closings.append(closing)
        else:
            self._lines.tell("close", closing)

    def refused(self, app: str, details: dict[str, Json]) -> None:
        """A budget refused a call of this app."""
        self._lines.tell("refused", app, details)

    def keep(self, report: CallReport) -> None:
        """Remember and count this call; a plain answer goes out when it is on the books."""
        self._tell_entry()
        notes = self._notes
        closings, notes.closings = notes.closings, []
        grant, notes.grant = notes.grant, None
        if report.stream or grant is None or grant.app != report.app:
            self._lines.tell("keep", report, closings)
            return
        rate = grant.quotas.get(_CHAT)
        allowance: Allowance = self._lines.ask("keep_and_look", report, closings, rate)
        notes.told = (time.monotonic(), report.app, rate, allowance)

    def _tell_entry(self) -> None:
        """An attempt that was not made counts all the same."""
        notes = self._notes
        if notes.entry is not None:
            entry, notes.entry = notes.entry, None
            self._lines.ask("enter", entry)

    @property
    def _notes(self) -> Notes:
        notes: Notes | None = getattr(self._local, "notes", None)
        if notes is None:
            notes = self._local.notes = Notes()
        return notes


class _Names:
    """OpenRouter's ids of the attempts that are under way for longer than a moment."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._lock = threading.Lock()
        self._new: dict[str, str] = {}
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, attempt_id: str, generation_id: str) -> None:
        """Tell it in a moment."""
        with self._lock:
            self._new[attempt_id] = generation_id
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orgate-names", daemon=True)
                self._thread.start()
        self._wanted.set()

    def forget(self, attempt_id: str) -> None:
        """The attempt is over, which tells its id as well."""
        with self._lock:
            self._new.pop(attempt_id, None)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            pause.wait(_LATER_S)
            self._wanted.clear()
            with self._lock:
                names, self._new = self._new, {}
            for attempt_id, generation_id in names.items():
                self._lines.tell("identify", attempt_id, generation_id)
