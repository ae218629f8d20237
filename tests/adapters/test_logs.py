from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from app.adapters.logs import LogSink, configure
from app.core.calls import Recall
from tests.adapters.calls import report

KEY = "sk-or-v1-canary0123456789"
Logging = tuple[LogSink, Callable[[], list[dict[str, Any]]]]
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture
def logging_to() -> Iterator[Callable[..., Logging]]:
    """Log to a text; put the root logger back afterwards."""
    root = logging.getLogger()
    before = (root.handlers, root.level, logging.raiseExceptions)

    def start(
        level: str = "info", namespaces: tuple[str, ...] = ()
    ) -> tuple[LogSink, Callable[[], list[dict[str, Any]]]]:
        stream = io.StringIO()
        sink = configure(level=level, namespaces=namespaces, stream=stream)
        return sink, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    yield start
    root.handlers, root.level, logging.raiseExceptions = before


def test_line_of_a_call(logging_to: Callable[..., Any]) -> None:
    """A call is one line with the document's fields."""
    sink, lines = logging_to()

    sink.call_ended(report())

    line = lines()[0]
    assert {
        "endpoint": "/chat/completions",
        "model": "openai/gpt-4",
        "fallbacks": ["google/gemini"],
        "tokens": {"prompt": 30, "completion": 40, "total": 70},
        "duration": 1.5,
        "cost": "0.000081",
        "provider": "OpenAI",
    }.items() <= line.items()
    assert ("call.ended", "info") == (line["event"], line["level"])


@pytest.mark.parametrize(("recall", "told"), [(None, None), (Recall("hit", 3.5), "hit"), (Recall("miss"), "miss")])
def test_cache(logging_to: Callable[..., Any], recall: Recall | None, told: str | None) -> None:
    """The line tells what the cache of answers had, for a call that asked for it."""
    sink, lines = logging_to()

    sink.call_ended(report(recall=recall))

    assert told == lines()[0]["cache"]


def test_unknown_cost(logging_to: Callable[..., Any]) -> None:
    """A cost that nobody knows is null, never 0, and a failed call is a warning."""
    sink, lines = logging_to()

    sink.call_ended(report(usage=None, outcome="upstream_stalled"))

    assert (None, None, "warning") == tuple(lines()[0][name] for name in ("cost", "tokens", "level"))


def test_no_secret_passes(logging_to: Callable[..., Any]) -> None:
    """Keys and tokens are replaced wherever they stand: fields, nested values, tracebacks, other libraries' lines."""
    sink, lines = logging_to("debug")

    sink.note("a", direct=KEY, nested={"list": [f"x {TOKEN} y"]}, header=f"Bearer {KEY}")
    logging.getLogger("somebody").warning("sent %s", f"Authorization: Bearer {TOKEN}")
    try:
        raise ValueError(f"bad header {KEY}\n")
    except ValueError as error:
        sink.broke("b", error)

    text = json.dumps(lines())
    assert KEY not in text
    assert "canary" not in text
    assert TOKEN not in text
    assert "ValueError" in text


def test_one_line_per_event(logging_to: Callable[..., Any]) -> None:
    """Line breaks and escapes in a value do not make lines of their own."""
    sink, lines = logging_to()

    sink.note("a", name="x\ny\r\x1b[31m\u2028z")

    assert ["x\ny\r\x1b[31m\u2028z"] == [line["name"] for line in lines()]


@pytest.mark.parametrize(
    ("level", "namespaces", "expected"),
    [
        ("info", (), ["note", "warn"]),
        ("warning", (), ["warn"]),
        ("warning", ("openrouter:*",), ["relay.detail", "warn"]),
        ("info", ("openrouter:credits",), ["note", "warn"]),
        ("debug", (), ["relay.detail", "note", "warn"]),
    ],
)
def test_levels(logging_to: Callable[..., Any], level: str, namespaces: tuple[str, ...], expected: list[str]) -> None:
    """LOG_LEVEL and DEBUG choose the lines; DEBUG's namespaces work at any level."""
    sink, lines = logging_to(level, namespaces)

    sink.debug("relay.detail")
    sink.note("note")
    sink.warn("warn")

    assert expected == [line["event"] for line in lines()]


class Terminal(io.StringIO):
    """A text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(logging_to: Callable[..., Any]) -> Callable[..., str]:
    """What a terminal shows of some lines."""

    def shown(write: Callable[[LogSink], None]) -> str:
        stream = Terminal()
        write(configure(level="info", namespaces=(), stream=stream))
        return stream.getvalue()

    logging_to()
    return shown


def test_json_line(logging_to: Callable[..., Any]) -> None:
    """A line has the event, the level, the time in UTC and the facts; a library's line also its name."""
    sink, lines = logging_to()

    sink.warn("ledger.trouble", why="full", rows=3)
    logging.getLogger("waitress").warning("slow: %d", 7)

    own, foreign = lines()
    assert 0 <= time.time() - datetime.fromisoformat(own.pop("timestamp")).timestamp() < 60
    assert {"event": "ledger.trouble", "level": "warning", "why": "full", "rows": 3} == own
    assert ("slow: 7", "waitress") == (foreign["event"], foreign["logger"])


def test_terminal(terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For people a line is text, with colours unless NO_COLOR says otherwise."""
    assert "\x1b[33mwarning" in terminal(lambda sink: sink.warn("ledger.trouble", why="no room", rows=3))

    monkeypatch.setenv("NO_COLOR", "1")
    plain = terminal(lambda sink: sink.warn("ledger.trouble", why="no room", rows=3, path="/tmp/ledger.db"))

    assert 'warning  ledger.trouble           why="no room" rows=3 path=/tmp/ledger.db\n' == plain.partition(" ")[2]


@pytest.mark.parametrize("text", ["x\ny", "x\r\x1b[31my", "x\u2028y", "x\x9b31my", 'x" y'], ids=ascii)
def test_terminal_obeys_nobody(terminal: Callable[..., str], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a value or a foreign message holds, it makes no line of its own and no escape sequence."""
    monkeypatch.setenv("NO_COLOR", "1")

    shown = terminal(lambda sink: (sink.note("a", name=text), logging.getLogger("somebody").warning("%s", text)))

    assert 2 == len(shown.splitlines())
    assert shown.replace("\n", "").isprintable()
    assert 1 <= shown.count(json.dumps(text))


def test_terminal_keeps_secrets(terminal: Callable[..., str]) -> None:
    """A terminal shows no key, and all of a traceback below its line."""

    def broken(sink: LogSink) -> None:
        try:
            raise ValueError(f"bad header {KEY}")
        except ValueError as error:
            sink.broke("b", error, also=KEY)

    shown = terminal(broken)

    assert KEY not in shown
    assert "\nTraceback" in shown
    assert shown.rstrip().endswith("ValueError: bad header [key]")
