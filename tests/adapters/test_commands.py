from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.adapters import commands
from app.adapters.commands import AlertCommand
from app.core.notices import Notice
from tests.services.fakes import Recorder

SOON_S = 10.0

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="shell scripts and named pipes")


class Log(Recorder):
    """A recorder that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.more = threading.Semaphore(0)

    def warn(self, event: str, **facts: object) -> None:
        self.note(event, **facts)
        self.more.release()


class Mailbox:
    """A named pipe that scripts write to, and that is read a line at a time."""

    def __init__(self, place: Path) -> None:
        self.place = place
        os.mkfifo(place)
        # Held open for writing as well: the end of one writer is not the end of all.
        self._descriptor = os.open(place, os.O_RDWR)
        self._lines = os.fdopen(self._descriptor, "rb")

    def line(self) -> bytes:
        """The next line, as soon as it is there."""
        return self._lines.readline()

    def close(self) -> None:
        self._lines.close()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    box = Mailbox(tmp_path / "box")
    yield box
    box.close()


@pytest.fixture
def script(tmp_path: Path, log: Log) -> Callable[..., AlertCommand]:
    """Makes an alert command of a shell script."""

    def make(text: str, *arguments: str) -> AlertCommand:
        place = tmp_path / "told.sh"
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(0o700)
        return AlertCommand([str(place), *arguments], log)

    return make


def notice(number: int = 1, **facts: object) -> Notice:
    return Notice(number, 1_800_000_000.0, "alert", "credits.low", "warning", {"below": "5", **facts})


def test_alert(script: Callable[..., AlertCommand], mailbox: Mailbox, tmp_path: Path) -> None:
    """The program gets the alert as one line of JSON on its input; no shell takes its arguments apart."""
    command = script('cat > "$1.in"; cat "$1.in" > "$1"', str(mailbox.place), f"$(touch {tmp_path}/never)")

    command.tell(notice(remaining="4.5 `id` $HOME"))

    told = json.loads(mailbox.line())
    assert ("credits.low", {"below": "5", "remaining": "4.5 `id` $HOME"}) == (told["event"], told["facts"])
    assert told["message"].startswith("Less than $5.00")
    assert not (tmp_path / "never").exists()


def test_environment(script: Callable[..., AlertCommand], mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program sees the environment without anything of orgate's and OpenRouter's."""
    for name in ("OPENROUTER_API_KEY", "ORGATE_PROXY", "OTHER"):
        monkeypatch.setenv(name, "canary")
    command = script(
        'env | grep canary | tr "\\n" " " > "$1.env"; echo >> "$1.env"; cat "$1.env" > "$1"', str(mailbox.place)
    )

    command.tell(notice())

    assert b"OTHER=canary" == mailbox.line().strip()


def test_one_at_a_time(script: Callable[..., AlertCommand], mailbox: Mailbox) -> None:
    """Alerts are told one after the other, in their order."""
    command = script('mkdir "$1.busy" || exit 9; id=$(cat); rmdir "$1.busy"; echo "$id" > "$1"', str(mailbox.place))
    for number in range(5):
        command.tell(notice(number))

    assert list(range(5)) == [json.loads(mailbox.line())["id"] for _ in range(5)]


@pytest.mark.parametrize(
    ("text", "why"),
    [("exit 7", "it ended with 7"), ("kill -9 $$", "it ended with -9"), ("exec 0<&-; exit 3", "it ended with 3")],
)
def test_failing_program(script: Callable[..., AlertCommand], log: Log, text: str, why: str) -> None:
    """A program that fails is a line in the log without its arguments, and the next alert is told as well."""
    command = script(text, "https://example.org/canary")
    command.tell(notice())
    command.tell(notice())

    assert all(log.more.acquire(timeout=SOON_S) for _ in range(2))
    assert [{"program": "told.sh", "alert": "credits.low", "why": why}] * 2 == log.of("alert.command_failed")


def test_missing_program(tmp_path: Path, log: Log) -> None:
    """A program that is gone is a line in the log."""
    AlertCommand([str(tmp_path / "gone"), "canary"], log).tell(notice())

    assert log.more.acquire(timeout=SOON_S)
    assert "No such file or directory" == log.of("alert.command_failed")[0]["why"]


def test_program_that_hangs(
    script: Callable[..., AlertCommand], tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that takes too long is ended with all that it started."""
    monkeypatch.setattr(commands, "_LONGEST_S", 0.5)
    alive = tmp_path / "alive"
    os.mkfifo(alive)

    script('sleep 600 > "$1" & wait', str(alive)).tell(notice())

    # It can be opened while somebody writes to it, and ends when nobody does any more.
    with alive.open("rb") as held:
        assert b"" == held.read()
    assert log.more.acquire(timeout=SOON_S)
    assert "it was ended after 0.5 s" == log.of("alert.command_failed")[0]["why"]


def test_too_many_alerts(script: Callable[..., AlertCommand], mailbox: Mailbox, log: Log) -> None:
    """While one program hangs a bounded number of alerts wait, and whoever tells one does not."""
    gate = Path(f"{mailbox.place}.gate")
    os.mkfifo(gate)
    command = script(
        '[ -e "$1.seen" ] && exit; touch "$1.seen"; echo > "$1"; read held < "$1.gate"', str(mailbox.place)
    )
    command.tell(notice())
    mailbox.line()

    for number in range(25):
        command.tell(notice(number))

    assert ["too many alerts wait for it"] * 5 == [facts["why"] for facts in log.of("alert.command_failed")]
    gate.write_bytes(b"\n")
