from __future__ import annotations

import threading
from collections.abc import Hashable
from pathlib import Path

import pytest

from app.adapters.agents import AgentFolder
from app.core.catalogue import Model
from app.core.errors import BadRequest, NotFound, Unavailable
from app.services.agents import Agents, KnownModels
from tests.services.fakes import FakeClock, Recorder

GOOD = 'model = "x/y"\n'
SEES = 'model = "x/y"\ncapabilities = { vision = true }\n'
BODY = {"model": "agent/a", "messages": []}


class Counted(AgentFolder):
    """A folder that counts how often it is looked at and read, and that can fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.looks = 0
        self.reads: list[str] = []
        self.broken = False

    def look(self) -> dict[str, tuple[int, int, int, int]]:
        self.looks += 1
        if self.broken:
            raise Unavailable("The folder cannot be read: no.")
        return super().look()

    def read(self, id: str) -> str:
        self.reads.append(id)
        return super().read(id)


class Catalogue:
    """A catalogue that a test changes."""

    def __init__(self) -> None:
        self.date: float | None = None
        self.entries: dict[str, Model] = {}

    def as_of(self) -> float | None:
        return self.date

    def entry_of(self, model: str) -> Model | None:
        return self.entries.get(model)


class Desk:
    """Agents on a real folder, with time and a catalogue that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.files = Counted(folder)
        self.clock, self.events, self.catalogue = FakeClock(), Recorder(), Catalogue()
        self.agents = Agents(files=self.files, models=self.catalogue, clock=self.clock, events=self.events)

    def write(self, id: str, text: str) -> None:
        """Write a file and let a second pass."""
        self.files.folder.mkdir(exist_ok=True)
        (self.files.folder / f"{id}.toml").write_text(text)
        self.clock.time += 1

    def names(self) -> list[str]:
        """The agents in force."""
        return list(self.agents.shelf().agents)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk whose folder was not made yet."""
    return Desk(tmp_path / "agents")


def test_changes_count(desk: Desk) -> None:
    """New, changed and removed files count from the next second on, without a restart."""
    assert [] == desk.names()
    desk.write("a", GOOD)
    assert ["a"] == desk.names()
    desk.write("b", GOOD)
    desk.write("a", 'model = "x/z"')
    assert ("x/z",) == desk.agents.shelf().find("agent/a").models
    (desk.files.folder / "a.toml").unlink()
    desk.clock.time += 1

    assert ["b"] == desk.names()
    assert [["a"], ["a", "b"], ["b"]] == [facts["agents"] for facts in desk.events.of("agents.changed")]


def test_cheap(desk: Desk) -> None:
    """However many ask, the folder is looked at once a second, and a file is read once for each change."""
    desk.write("a", GOOD)
    for _ in range(50):
        desk.agents.shelf()
    desk.clock.time += 0.99
    desk.agents.shelf()
    assert (1, ["a"]) == (desk.files.looks, desk.files.reads)

    desk.clock.time += 0.01
    desk.agents.shelf()
    assert (2, ["a"]) == (desk.files.looks, desk.files.reads)


def test_no_call_waits_for_files(desk: Desk) -> None:
    """A call that names no agent looks at no file, and goes on as it came."""
    body = {"model": "x/y"}

    preset = desk.agents.preset("/chat/completions", body, "x/y", ("z/z",))

    assert body is preset.body
    assert ("x/y", ("z/z",), None, ("", ())) == (preset.model, preset.fallbacks, preset.agent, preset.lends)
    assert 0 == desk.files.looks


def test_bad_change(desk: Desk) -> None:
    """A change that cannot be used leaves the agent as it was, and is told of once; the next good one counts."""
    desk.write("a", GOOD)
    desk.agents.shelf()
    desk.write("a", "model = ")
    for _ in range(3):
        shelf = desk.agents.shelf()
        desk.clock.time += 1

    assert ("x/y",) == shelf.find("agent/a").models
    assert shelf.faults["a"].kept
    assert "not valid TOML" in shelf.faults["a"].problems[0]
    assert str(desk.files.folder / "a.toml") == shelf.faults["a"].file
    [told] = desk.events.of("agent.unusable")
    assert ("a", True) == (told["agent"], told["kept_old"])
    desk.write("a", 'model = "x/z"')
    assert (("x/z",), {}) == (desk.agents.shelf().find("agent/a").models, dict(desk.agents.shelf().faults))


def test_each_bad_change_is_told(desk: Desk) -> None:
    """Another mistake is another warning."""
    desk.write("a", "x = 1")
    desk.agents.shelf()
    desk.write("a", "y = 1")
    desk.agents.shelf()

    assert 2 == len(desk.events.of("agent.unusable"))


def test_bad_from_the_start(desk: Desk) -> None:
    """A file that never could be used makes no agent, and a call to it hears why; the others count."""
    desk.write("a", "")
    desk.write("b", GOOD)

    assert ["b"] == desk.names()
    with pytest.raises(NotFound, match="agent/a cannot be used: model is missing"):
        desk.agents.preset("/chat/completions", BODY, "agent/a", ())


def test_bad_file_removed(desk: Desk) -> None:
    """With its file an agent goes, also one that was kept from before a bad change."""
    desk.write("a", GOOD)
    desk.agents.shelf()
    desk.write("a", "")
    desk.agents.shelf()
    (desk.files.folder / "a.toml").unlink()
    desk.clock.time += 1

    assert ([], {}) == (desk.names(), dict(desk.agents.shelf().faults))


def test_folder_out_of_reach(desk: Desk) -> None:
    """While the folder cannot be read all agents stay as they were, and that is told of once."""
    desk.write("a", GOOD)
    desk.agents.shelf()
    desk.files.broken = True
    for _ in range(2):
        desk.clock.time += 1
        shelf = desk.agents.shelf()

    assert (["a"], True) == (list(shelf.agents), shelf.faults[""].kept)
    assert 1 == len(desk.events.of("agent.unusable"))
    desk.files.broken = False
    desk.clock.time += 1
    assert (["a"], {}) == (desk.names(), dict(desk.agents.shelf().faults))


def test_catalogue_changes(desk: Desk) -> None:
    """Capabilities are checked when a file and when the catalogue changes, and a doubt is told of once."""
    desk.write("a", SEES)
    assert (False, {}) == (desk.agents.shelf().checked, dict(desk.agents.shelf().doubts))

    desk.catalogue.date, desk.catalogue.entries = 1.0, {"x/y": {"id": "x/y"}}
    for _ in range(2):
        desk.clock.time += 1
        shelf = desk.agents.shelf()
    assert (True, {"a": ("x/y takes no images (vision).",)}) == (shelf.checked, dict(shelf.doubts))
    assert 1 == len(desk.events.of("agent.doubtful"))

    desk.catalogue.date = 2.0
    desk.catalogue.entries = {"x/y": {"id": "x/y", "architecture": {"input_modalities": ["image"]}}}
    desk.clock.time += 1
    assert {} == dict(desk.agents.shelf().doubts)


def test_versions(desk: Desk) -> None:
    """The version changes with the agents and with nothing else: lists of models are made anew for it."""
    desk.write("a", GOOD)
    first = desk.agents.shelf().version
    desk.write("b", "")
    desk.catalogue.date = 1.0
    assert first == desk.agents.shelf().version
    desk.write("a", SEES)

    assert first != desk.agents.shelf().version


@pytest.mark.parametrize("model", ["x/y", "agent/a", ""])
def test_agent_within_a_chain(desk: Desk, model: str) -> None:
    """An agent in the middle of a caller's chain is refused with what to do."""
    with pytest.raises(BadRequest, match="Name it as model"):
        desk.agents.preset("/chat/completions", {}, model, ("x/z", "agent/a"))


def test_many_ask_at_once(desk: Desk) -> None:
    """Threads that come while the files are read wait for what is read, and the files are read once."""
    desk.write("a", GOOD)
    reading, go = threading.Event(), threading.Event()
    read = desk.files.read

    def slow(id: str) -> str:
        reading.set()
        go.wait(10)
        return read(id)

    desk.files.read = slow  # type: ignore[method-assign]
    found: list[Hashable] = []
    threads = [threading.Thread(target=lambda: found.append(tuple(desk.names()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert reading.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)

    assert [("a",)] * 8 == found
    assert (1, ["a"]) == (desk.files.looks, desk.files.reads)


def test_known_models(tmp_path: Path) -> None:
    """Commands hold agents against the catalogue they have, or against none."""
    desk = Desk(tmp_path)
    desk.write("a", SEES)

    def shelf(models: list[Model] | None) -> object:
        known = KnownModels(models)
        found = Agents(files=desk.files, models=known, clock=desk.clock, events=desk.events).shelf()
        return found.checked, len(found.doubts)

    assert [(False, 0), (True, 1)] == [shelf(None), shelf([{"id": "x/y"}])]
