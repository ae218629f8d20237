from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.adapters.agents import AgentFolder
from app.core.errors import Conflict, NotFound, Unavailable


@pytest.fixture
def folder(tmp_path: Path) -> AgentFolder:
    """A folder that was not made yet."""
    return AgentFolder(tmp_path / "config" / "agents")


def test_no_folder(folder: AgentFolder) -> None:
    """Without a folder there are no agents, and looking makes none."""
    assert {} == folder.look()
    assert not folder.folder.exists()


def test_created(folder: AgentFolder) -> None:
    """A new file is there whole, and for its owner only."""
    path = folder.create("a", 'model = "x/y"\n')

    assert ('model = "x/y"\n', str(path)) == (folder.read("a"), folder.place("a"))
    assert ["a.toml"] == os.listdir(folder.folder)
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, folder.folder.stat().st_mode & 0o777)


def test_never_overwritten(folder: AgentFolder) -> None:
    """What stands there stays, and nothing is left behind."""
    folder.create("a", "old")

    with pytest.raises(Conflict, match="There is an agent a already"):
        folder.create("a", "new")

    assert ("old", ["a.toml"]) == (folder.read("a"), os.listdir(folder.folder))


def test_other_things(folder: AgentFolder) -> None:
    """Only files that end in .toml and are not hidden hold agents; a pipe would keep the gateway waiting."""
    folder.create("b", "")
    folder.create("a", "")
    for name in (".hidden.toml", "notes.txt", "a.toml~"):
        (folder.folder / name).write_text("")
    (folder.folder / "folder.toml").mkdir()
    os.mkfifo(folder.folder / "pipe.toml")
    (folder.folder / "dangling.toml").symlink_to("nowhere")

    assert ["a", "b"] == list(folder.look())


def test_every_change_is_seen(folder: AgentFolder) -> None:
    """Another content, another file in its place, other rights: each is seen."""
    path = folder.create("a", "one")
    seen = [folder.look()["a"]]
    path.write_text("three")
    seen.append(folder.look()["a"])
    (folder.folder / ".draft").write_text("three")
    (folder.folder / ".draft").rename(path)
    seen.append(folder.look()["a"])
    path.chmod(0o640)
    seen.append(folder.look()["a"])

    assert 4 == len(set(seen))
    assert seen[-1] == folder.look()["a"]


def test_unreadable(folder: AgentFolder) -> None:
    """A file that cannot be read is told apart from one that has gone."""
    with pytest.raises(NotFound):
        folder.read("a")
    folder.create("a", "")
    (folder.folder / "a.toml").write_bytes(b"\xff")
    with pytest.raises(Unavailable, match="not UTF-8"):
        folder.read("a")
    (folder.folder / "a.toml").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(Unavailable, match="larger than 1 MiB"):
        folder.read("a")
    (folder.folder / "a.toml").unlink()
    (folder.folder / "a.toml").mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        folder.read("a")


def test_byte_order_mark(folder: AgentFolder) -> None:
    """A mark that some editors put at the beginning is none of the text."""
    folder.create("a", "\ufeffmodel = 1")

    assert "model = 1" == folder.read("a")


def test_name_that_is_no_text(folder: AgentFolder) -> None:
    """A file whose name is no text can be called by nobody and troubles nobody."""
    folder.create("a", "")
    Path(os.fsdecode(os.fsencode(folder.folder) + b"/\xff.toml")).write_text("")

    assert ["?", "a"] == list(folder.look())
    with pytest.raises(NotFound):
        folder.read("?")
