from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tray.builders import AT
from tray.errors import AlreadyRunning
from tray.files import only_one, private_folder, write_private
from tray.notebook import Notebook, Notes
from tray.warnings import Memory, Snooze

HOLD = """
import pathlib, sys
from tray.files import only_one
with only_one(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
NOTES = Notes(True, Memory({"balance:5": AT}, Snooze(None), None, AT, 17))


def test_only_one(tmp_path: Path) -> None:
    """A second tray on the same state folder is told which process is the first."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        first.stdout.readline()

        with pytest.raises(AlreadyRunning, match=f"pid {first.pid}"), only_one(tmp_path):
            pass
        first.send_signal(signal.SIGKILL)

    with only_one(tmp_path):
        """Whatever way the first one ended, the folder is free."""


def test_private(tmp_path: Path) -> None:
    """What the tray writes can be read by its owner only."""
    folder = private_folder(tmp_path / "new")
    write_private(folder / "notes", "x")

    assert 0o600 == (folder / "notes").stat().st_mode & 0o777
    assert 0o700 == folder.stat().st_mode & 0o777
    assert ["notes"] == os.listdir(folder)


def test_notes_are_kept(tmp_path: Path) -> None:
    """What one process noted, the next one reads."""
    Notebook(tmp_path / "new").write(NOTES)

    assert NOTES == Notebook(tmp_path / "new").read()
    assert Notes() == Notebook(tmp_path / "other").read()


def test_notes_are_written_when_new(tmp_path: Path) -> None:
    """The file is left alone while nothing has changed."""
    notebook = Notebook(tmp_path)
    notebook.write(NOTES)
    before = (tmp_path / "tray.json").stat()
    notebook.write(NOTES)

    assert before.st_ino == (tmp_path / "tray.json").stat().st_ino


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"told": 3, "snooze": 1, "bought": {}}', '{"told": {"a": "b"}}']
)
def test_broken_notes(tmp_path: Path, text: str) -> None:
    """Notes that make no sense are left out, and the tray starts all the same."""
    (tmp_path / "tray.json").write_text(text)

    assert Notes() == Notebook(tmp_path).read()
