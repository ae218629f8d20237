"""The journal of a batch: what was sent and what came of it, on disk before anything else happens with it."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.batch import Item
from app.core.money import dollars, nanos

_FORMAT = 1


class Unusable(Exception):
    """The journal does not belong to this batch, or cannot be read; the message says what to do."""


@dataclass
class Line:
    """What the journal knows of one line."""

    tries: int = 0
    """How many keys were used for it."""
    key: str = ""
    memory: str = ""
    """The last key it was sent with, and what the gateway then remembered calls in."""
    is_open: bool = False
    """It was sent, and nothing is known of what became of it."""
    place: tuple[int, int] | None = None
    """Where its line of output stands: offset and length."""
    is_uncertain: bool = False
    has_failed: bool = False
    counted: int = 0
    """What it counts as spent, in nano-dollars."""


class Journal:
    """One batch on disk; safe to use from several threads. Every record is there for good when a method returns."""

    def __init__(self, path: Path, items: Sequence[Item]) -> None:
        """Take up the batch of these requests where it was left, or begin it; raises Unusable."""
        self._path = path
        self._lock = threading.Lock()
        self.lines = [Line() for _ in items]
        self.id = secrets.token_hex(8)
        self.is_taken_up = path.exists()
        if self.is_taken_up:
            self._load(items)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if not os.fstat(self._file).st_size:
            self.is_taken_up = False
            self._append({"orgate_batch": _FORMAT, "id": self.id, "lines": [item.identity for item in items]})

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    @property
    def is_untouched(self) -> bool:
        """Nothing was ever sent."""
        return not any(line.tries for line in self.lines)

    def send(self, number: int, memory: str, *, again: bool = False) -> Line:
        """A line (from 0) is being sent, with a new key unless it is sent again."""
        line = self.lines[number]
        if not again:
            line.tries += 1
            line.key = f"batch-{self.id}-{number + 1}-{line.tries}"
        _sent(line, memory)
        self._append({"sent": number + 1, "key": line.key, "memory": memory})
        return line

    def unsent(self, number: int) -> None:
        """It was refused, and nothing was made of it."""
        self.lines[number].is_open = False
        self._append({"unsent": number + 1})

    def end(self, number: int, output: dict[str, Any], counted: int, *, failed: bool, uncertain: bool) -> None:
        """What became of it; `counted` nano-dollars count as spent."""
        record = {"done": number + 1, "uncertain": uncertain, "failed": failed, "counted": dollars(counted)}
        place = self._append({**record, "line": output})
        _ended(self.lines[number], record, place)

    def outputs(self) -> Iterator[bytes]:
        """The lines of output so far, in the order of the input; those that are not there are left out."""
        with self._path.open("rb") as file:
            for line in self.lines:
                if line.place is not None:
                    offset, length = line.place
                    file.seek(offset)
                    record = json.loads(file.read(length))
                    yield json.dumps(record["line"], ensure_ascii=False).encode() + b"\n"

    def _append(self, record: dict[str, Any]) -> tuple[int, int]:
        data = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            offset = os.lseek(self._file, 0, os.SEEK_END)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._file, rest) :]
                os.fsync(self._file)
            except OSError:
                # Half a record must not have others behind it.
                os.ftruncate(self._file, offset)
                raise
        return offset, len(data)

    def _load(self, items: Sequence[Item]) -> None:
        with self._path.open("r+b") as file:
            offset = 0
            for number, text in enumerate(file):
                if not text.endswith(b"\n"):
                    # The process died within this record: what it would have told had not happened yet.
                    break
                try:
                    record = json.loads(text)
                    self._begin(record, items) if number == 0 else self._replay(record, (offset, len(text)))
                except (ValueError, KeyError, IndexError, TypeError):
                    raise Unusable(
                        f"{self._path} is no journal of a batch, or is damaged in line {number + 1}. Move it away to "
                        "begin anew; what was paid for already is then paid again."
                    ) from None
                offset += len(text)
            file.truncate(offset)

    def _begin(self, record: dict[str, Any], items: Sequence[Item]) -> None:
        if record["orgate_batch"] != _FORMAT:
            raise ValueError
        self.id, before, now = record["id"], record["lines"], [item.identity for item in items]
        if before == now:
            return
        changed = next((at for at, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), None)
        what = (
            f"line {changed + 1} is not what it was"
            if changed is not None
            else f"there were {len(before)} lines and now are {len(now)}"
        )
        raise Unusable(
            f"The input has changed since this batch was begun: {what} (with the same --model). Put it back to go on, "
            f"or name another output. What was answered so far is in {self._path}."
        )

    def _replay(self, record: dict[str, Any], place: tuple[int, int]) -> None:
        if "sent" in record:
            line = self.lines[_index(record["sent"])]
            line.tries += line.key != record["key"]
            line.key = record["key"]
            _sent(line, record["memory"])
        elif "unsent" in record:
            self.lines[_index(record["unsent"])].is_open = False
        else:
            _ended(self.lines[_index(record["done"])], record, place)


def _sent(line: Line, memory: str) -> None:
    # Where it had an outcome, that counts no more: it is asked for again, as was wished.
    line.memory, line.is_open = memory, True
    line.place, line.is_uncertain, line.has_failed = None, False, False


def _ended(line: Line, record: dict[str, Any], place: tuple[int, int]) -> None:
    counted = nanos(record["counted"])
    if counted is None:
        raise ValueError
    line.place, line.is_open = place, False
    line.is_uncertain, line.has_failed = record["uncertain"], record["failed"]
    line.counted += counted


def _index(number: int) -> int:
    if number < 1:
        raise IndexError
    return number - 1
