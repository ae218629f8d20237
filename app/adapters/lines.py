"""How a log record is written: one line of JSON for machines, or one of text for a terminal. Secrets are taken out."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from app.core.errors import Json
from app.core.redact import clean, may_tell, redact

_PLAIN = re.compile(r"[\w./:@+-]+")
_RESET, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_COLOURS = {"debug": "\x1b[36m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_EVENT_WIDTH = 24
_SHORT = 1024
"""A line of so many characters needs no shortening; one look at all of it shows whether it may hold a secret."""


class JsonLines(logging.Formatter):
    """One JSON object a record: event, level, timestamp in UTC, the facts, and the traceback of an exception."""

    _encoder = json.JSONEncoder(default=str)

    def format(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            text = self._encoder.encode(self._fields(record))
            if len(text) <= _SHORT and not may_tell(text):
                return text
        return self._encoder.encode(self.told(record))

    def told(self, record: logging.LogRecord) -> dict[str, object]:
        """The record's fields, without secrets."""
        told = {name: clean(value) for name, value in self._fields(record).items()}
        if record.exc_info:
            # Whole: `clean` would cut it short.
            told["exception"] = redact(self.formatException(record.exc_info))
        return told

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            **getattr(record, "facts", {}),
        }
        if record.name != "orgate":
            line["logger"] = record.name
        return line


class TextLines(JsonLines):
    """The same as a line for people, in colours if the terminal is to have them; only a traceback takes more lines."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        told = self.told(record)
        level, event = str(told.pop("level")), _shown(told.pop("event"), space_too=True)
        time, trace = str(told.pop("timestamp")), told.pop("exception", None)
        facts = " ".join(f"{self._in(_DIM, name + '=')}{_shown(value)}" for name, value in told.items())
        head = f"{self._in(_DIM, time)} {self._in(_COLOURS.get(level, ''), f'{level:8}')}"
        line = f"{head} {self._in(_BOLD, f'{event:{_EVENT_WIDTH}}')} {facts}".rstrip()
        return f"{line}\n{trace}" if trace else line

    def _in(self, style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if self._colours else text


def _shown(value: Json | object, *, space_too: bool = False) -> str:
    """A value on one line, with nothing in it that a terminal would obey."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) or (space_too and value.isprintable()):
            return value
        return json.dumps(value, ensure_ascii=not value.isprintable())
    return json.dumps(value, default=str)
