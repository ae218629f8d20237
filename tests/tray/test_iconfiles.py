"""The folder with the icon's picture."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tray.iconfiles import icon_folder


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """An empty runtime folder."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    return folder


def test_it_is_private_and_goes_away(runtime: Path) -> None:
    """With all that is in it, also after an error."""
    with pytest.raises(ZeroDivisionError), icon_folder({"XDG_RUNTIME_DIR": str(runtime)}) as folder:  # noqa: PT012
        (folder / "1.png").touch()
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
        assert runtime == folder.parent
        raise ZeroDivisionError

    assert [] == list(runtime.iterdir())


def test_it_is_made_elsewhere_where_the_runtime_folder_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every system has one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for environment in ({}, {"XDG_RUNTIME_DIR": "/nonexistent"}):
        with icon_folder(environment) as folder:
            assert tmp_path == folder.parent


def test_only_what_dead_ones_left_is_removed(runtime: Path) -> None:
    """A folder of a process that runs, and anything with another name, stays."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    names = [f"orgate-tray-{process.pid}-abc", f"orgate-tray-{os.getpid()}-abc", "orgate-tray-notes", "other"]
    for name in names:
        (runtime / name).mkdir()
        (runtime / name / "1.png").touch()

    with icon_folder({"XDG_RUNTIME_DIR": str(runtime)}):
        pass

    assert sorted(names[1:]) == sorted(path.name for path in runtime.iterdir())
