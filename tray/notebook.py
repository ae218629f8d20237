"""What the tray keeps over a restart: the owner's choices and what was warned of, in a small file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tray import figures
from tray.figures import Json
from tray.files import private_folder, write_private
from tray.warnings import Memory, Snooze

FILE = "tray.json"


@dataclass(frozen=True)
class Notes:
    """All that is kept."""

    hide_amounts: bool = False
    memory: Memory = field(default_factory=Memory)


class Notebook:
    """Keeps the notes in a file of the state folder; one that cannot be read is an empty one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._kept: str | None = None

    def read(self) -> Notes:
        """What was kept last."""
        try:
            self._kept = self._file.read_text("utf-8")
            return unpack(figures.decode(self._kept))
        except (OSError, ValueError):
            return Notes()

    def write(self, notes: Notes) -> None:
        """Keep these from now on; writes only what is new, and raises OSError when that cannot be."""
        text = json.dumps(pack(notes), indent=1)
        if text != self._kept:
            private_folder(self._file.parent)
            write_private(self._file, text)
            self._kept = text


def pack(notes: Notes) -> dict[str, Json]:
    """The notes as plain JSON."""
    memory = notes.memory
    return {
        "hide_amounts": notes.hide_amounts,
        "told": dict(memory.told),
        "snooze": None if memory.snooze is None else {"until": memory.snooze.until},
        "bought": None if memory.bought is None else str(memory.bought),
        "top_up_since": memory.top_up_since,
        "last_notice": memory.last_notice,
    }


def unpack(value: Json) -> Notes:
    """The notes in what may be `pack`'s work; whatever makes no sense is left out."""
    if not isinstance(value, dict):
        return Notes()
    told, snooze, last = value.get("told"), value.get("snooze"), value.get("last_notice")
    seconds = {str(name): _seconds(when) for name, when in told.items()} if isinstance(told, dict) else {}
    return Notes(
        hide_amounts=value.get("hide_amounts") is True,
        memory=Memory(
            told={name: when for name, when in seconds.items() if when is not None},
            snooze=_snooze(snooze),
            bought=figures.amount(value.get("bought")),
            top_up_since=_seconds(value.get("top_up_since")),
            last_notice=last if isinstance(last, int) and not isinstance(last, bool) else None,
        ),
    )


def _snooze(value: Json) -> Snooze | None:
    if not isinstance(value, dict) or "until" not in value:
        return None
    until = _seconds(value["until"])
    return Snooze(until) if until is not None or value["until"] is None else None


def _seconds(value: Json) -> float | None:
    found = figures.amount(value)
    return None if found is None else float(found)
