"""The Events port as log lines: JSON for machines, colours for a terminal, secrets for nobody."""

from __future__ import annotations

import fnmatch
import logging
import os
import sys
import threading
from types import TracebackType
from typing import TextIO

from app.adapters.lines import JsonLines, TextLines
from app.core.calls import CallReport
from app.core.money import dollars
from app.core.ports import Events

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogSink:
    """One line per event on one stream."""

    def __init__(self, *, level: str, namespaces: tuple[str, ...]) -> None:
        self._log = logging.getLogger("orgate")
        self._log.setLevel(logging.DEBUG)
        self._level = _LEVELS[level]
        self._namespaces = namespaces

    @property
    def wants_details(self) -> bool:
        """Whether LOG_LEVEL or DEBUG ask for any debug line."""
        return bool(self._namespaces) or self._level == logging.DEBUG

    def call_ended(self, report: CallReport) -> None:
        """The document's "Request Logging" line; a call that failed is a warning ("Error Tracking")."""
        usage = report.usage
        facts: dict[str, object] = {
            "call_id": report.call_id,
            "app": report.app,
            "endpoint": report.endpoint,
            "agent": report.agent,
            "model": report.model,
            "fallbacks": list(report.fallbacks),
            "stream": report.stream,
            "status": report.status,
            "outcome": report.outcome,
            "served_model": report.served_model,
            "provider": report.provider,
            "tokens": usage
            and {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens, "total": usage.total_tokens},
            "cost": dollars(usage.cost) if usage and usage.cost is not None else None,
            "duration": round(report.duration_s, 4),
            "first_byte": None if report.first_byte_s is None else round(report.first_byte_s, 4),
            "generation_id": report.generation_id,
            "attempts": list(report.attempts),
            "cache": report.recall.found if report.recall else None,
        }
        level = logging.INFO if report.outcome in ("answered", "left") else logging.WARNING
        self._write(level, "call.ended", facts)

    def note(self, event: str, **facts: object) -> None:
        """An info line."""
        self._write(logging.INFO, event, facts)

    def warn(self, event: str, **facts: object) -> None:
        """A warning line."""
        self._write(logging.WARNING, event, facts)

    def broke(self, event: str, error: BaseException, **facts: object) -> None:
        """An error line with a traceback, without the values of variables."""
        self._write(logging.ERROR, event, facts, error)

    def debug(self, event: str, **facts: object) -> None:
        """A debug line, when LOG_LEVEL or DEBUG ask for it."""
        name = f"openrouter:{event.partition('.')[0]}"
        asked_for = any(fnmatch.fnmatchcase(name, pattern) for pattern in self._namespaces)
        if asked_for or self._level == logging.DEBUG:
            self._log.debug(event, extra={"facts": {"namespace": name, **facts}})

    def _write(self, level: int, event: str, facts: dict[str, object], error: BaseException | None = None) -> None:
        if level >= self._level:
            self._log.log(level, event, extra={"facts": facts}, exc_info=error)


def configure(*, level: str, namespaces: tuple[str, ...], stream: TextIO | None = None) -> LogSink:
    """Send every log line of this process, ours and the libraries', through the redactor to one stream."""
    stream = stream or sys.stderr
    coloured = "NO_COLOR" not in os.environ and sys.platform != "win32"
    formatter = TextLines(colours=coloured) if stream.isatty() else JsonLines()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    # urllib3 writes whole URLs at debug level, which tell nothing that our own lines do not.
    logging.getLogger("urllib3").setLevel(max(_LEVELS[level], logging.INFO))
    logging.getLogger("waitress").setLevel(logging.WARNING)
    # A stream that cannot be written any more must not take a call with it.
    logging.raiseExceptions = False
    # No line tells where it was logged, or by which thread: nothing of it is looked up ("Optimization", its HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    return LogSink(level=level, namespaces=namespaces)


def log_crashes(sink: Events) -> None:
    """Send what nobody caught, in any thread, to the sinks instead of raw to the terminal."""

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            sink.broke("process.crashed", error.with_traceback(trace))

    def thread_crashed(facts: threading.ExceptHookArgs) -> None:
        if facts.exc_value is not None:
            sink.broke("thread.crashed", facts.exc_value, thread=facts.thread.name if facts.thread else None)

    sys.excepthook = crashed
    threading.excepthook = thread_crashed
