from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.adapters.pauses import PauseFile
from app.core.errors import Unavailable
from app.core.pauses import EVERYBODY


@contextmanager
def full() -> Iterator[None]:
    """No byte can be written to any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def pauses(tmp_path: Path) -> PauseFile:
    return PauseFile(tmp_path)


def test_kept(pauses: PauseFile, tmp_path: Path) -> None:
    """Pauses are kept for the next gateway."""
    pauses.pause("editor")
    pauses.pause("notes")
    pauses.resume("editor")

    assert {"notes"} == PauseFile(tmp_path).paused() == pauses.paused()


@pytest.mark.parametrize("app", ["editor", EVERYBODY])
def test_pause_on_a_full_disk(pauses: PauseFile, tmp_path: Path, app: str) -> None:
    """What cannot be written down holds in this process, until it can be or the pause is lifted."""
    pauses.pause("notes")
    with full(), pytest.raises(Unavailable, match="File too large"):
        pauses.pause(app)

    assert ({"notes", app}, {"notes"}) == (pauses.paused(), PauseFile(tmp_path).paused())
    pauses.pause(app)
    assert {"notes", app} == PauseFile(tmp_path).paused()
    pauses.resume(EVERYBODY)
    assert frozenset() == pauses.paused() == PauseFile(tmp_path).paused()


def test_resume_on_a_full_disk(pauses: PauseFile) -> None:
    """Lifting every pause needs no room; lifting one of them does, and changes nothing without."""
    pauses.pause("editor")
    pauses.pause("notes")
    with full():
        with pytest.raises(Unavailable):
            pauses.resume("editor")
        still = pauses.paused()
        pauses.resume(EVERYBODY)

    assert ({"editor", "notes"}, frozenset()) == (still, pauses.paused())


def test_no_folder_to_write_in(tmp_path: Path) -> None:
    """Where nothing is paused, nothing has to be written to resume."""
    pauses = PauseFile(tmp_path / "nowhere")
    pauses.resume("editor")
    pauses.resume(EVERYBODY)

    assert frozenset() == pauses.paused()
