"""The desktop's own means, with programs of the test's own in their place."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import eventually
from tray.desk import Desk

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="they have browser and clipboard built in")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a shell script that is found by its name; nothing else is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, script: str) -> Path:
        place = folder / name
        place.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        place.chmod(0o700)
        return place

    return write


@pytest.fixture
def browser(program: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a script the owner's browser; Python asks for that only once in a process."""
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    return lambda script: monkeypatch.setenv("BROWSER", f"{program('browser', script)} %s")


def test_the_browser_is_given_the_page(tmp_path: Path, browser: Callable[[str], None]) -> None:
    """With its address, whole."""
    browser(f'echo "$1" > {tmp_path}/page')

    assert Desk({}).open("https://openrouter.ai/settings/credits?a=1&b=2")
    assert "https://openrouter.ai/settings/credits?a=1&b=2\n" == (tmp_path / "page").read_text()


def test_a_browser_that_stays_holds_nobody_up(tmp_path: Path, browser: Callable[[str], None]) -> None:
    """Some are the very process that was started: it has the page, and the tray goes on."""
    os.mkfifo(tmp_path / "end")
    browser(f"read line < {tmp_path}/end; touch {tmp_path}/ended")

    start = time.monotonic()
    opened = Desk({}).open("https://openrouter.ai")
    took_s = time.monotonic() - start
    stayed = not (tmp_path / "ended").exists()
    (tmp_path / "end").write_text("\n")

    assert (True, True) == (opened, stayed)
    assert took_s < 10
    eventually((tmp_path / "ended").exists)


def test_a_browser_that_fails_is_none(browser: Callable[[str], None]) -> None:
    """Its owner is told the address instead."""
    browser("exit 3")

    assert not Desk({}).open("https://openrouter.ai")


@pytest.mark.parametrize(
    ("name", "environment"), [("xclip", {}), ("xsel", {}), ("wl-copy", {"WAYLAND_DISPLAY": "wayland-0"})]
)
def test_the_text_is_copied(
    tmp_path: Path, program: Callable[[str, str], Path], name: str, environment: dict[str, str]
) -> None:
    """Exactly, with whichever program is there, although it goes on in the background."""
    program(name, f"cat > {tmp_path}/copied; sleep 30 > {tmp_path}/log & echo $! > {tmp_path}/pid")

    copied = Desk(environment).copy("http://127.0.0.1:6767/v1")
    os.kill(int((tmp_path / "pid").read_text()), 9)

    assert copied
    assert "http://127.0.0.1:6767/v1" == (tmp_path / "copied").read_text()


def test_a_program_that_cannot_copy_is_passed_over(tmp_path: Path, program: Callable[[str, str], Path]) -> None:
    """The next one is tried, and at the end it is said that nothing was copied."""
    program("xclip", "exit 1")
    assert not Desk({}).copy("x")

    program("xsel", f"cat > {tmp_path}/copied")
    assert Desk({}).copy("x")
