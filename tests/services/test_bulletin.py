from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.errors import Unavailable
from app.core.notices import Notice
from app.services.bulletin import READERS, Bulletin
from tests.services.fakes import FakeClock

SOON_S = 5.0


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []

    def tell(self, notice: Notice) -> None:
        self.heard.append(notice)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def bulletin(clock: FakeClock, ear: Ear) -> Bulletin:
    return Bulletin(clock, [ear])


def events(found: list[Notice] | None) -> list[str]:
    """The names of the notices' events."""
    return [notice.event for notice in found or ()]


def test_reader(bulletin: Bulletin) -> None:
    """A reader gets what is published after it came, in order and once."""
    bulletin.warn("credits.low", below="5")
    reader = bulletin.reader()
    bulletin.note("credits.purchased", amount="10")
    bulletin.note("app.paused", app="editor")

    first, second = reader.more(SOON_S), reader.more(0)

    assert ["credits.purchased", "app.paused"] == events(first)
    assert [] == second


def test_what_is_told(bulletin: Bulletin, ear: Ear) -> None:
    """Only alerts, figures and pauses are published, and only alerts are handed on to listeners."""
    reader = bulletin.reader()
    bulletin.note("gateway.ready")
    bulletin.debug("credits.low")
    bulletin.note("credits.status", remaining="4")
    bulletin.broke("ledger.broke", ValueError("with a secret"))
    bulletin.warn("cache.refresh_failed")

    found = reader.more(SOON_S)

    assert [("credits.status", "credits"), ("ledger.broke", "alert")] == [(one.event, one.kind) for one in found or ()]
    assert ["ledger.broke"] == events(ear.heard)
    assert {"why": "ValueError"} == ear.heard[0].facts


def test_waiting(bulletin: Bulletin) -> None:
    """A reader that waits is woken by the next notice."""
    readers = [bulletin.reader() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(reader.more, SOON_S) for reader in readers]
        bulletin.warn("key.low", below="5")
        found = [each.result() for each in waiting]

    assert [["key.low"]] * 3 == list(map(events, found))


def test_resuming(bulletin: Bulletin) -> None:
    """With the id of the last notice a reader gets those that it missed."""
    reader = bulletin.reader()
    for app in "abc":
        bulletin.note("app.paused", app=app)
    found = reader.more(SOON_S) or []

    resumed = bulletin.reader(found[0].id)

    assert ["b", "c"] == [one.app for one in resumed.more(0) or ()]
    assert found[0].id < found[1].id < found[2].id


def test_ids_after_a_restart(clock: FakeClock, bulletin: Bulletin) -> None:
    """Ids go on after a restart: one from before it is followed by everything since."""
    bulletin.warn("key.low")
    last = (bulletin.reader(0).more(0) or [])[-1].id
    clock.time += 1
    restarted = Bulletin(clock)
    restarted.warn("key.low")

    assert ["key.low"] == events(restarted.reader(last).more(0))


def test_id_from_the_future(bulletin: Bulletin) -> None:
    """An id that was never given here, as after the clock was set back, is followed by everything there is."""
    bulletin.warn("key.low")

    assert ["key.low"] == events(bulletin.reader(10**17).more(0))


def test_memory(bulletin: Bulletin) -> None:
    """The last hundred notices are remembered, of figures only the newest."""
    for number in range(150):
        bulletin.note("app.paused", app=str(number))
        bulletin.note("credits.status", remaining=str(number))

    found = bulletin.reader(0).more(0) or []

    assert 100 == len(found)
    assert ["149"] == [one.facts["remaining"] for one in found if one.kind == "credits"]
    assert [str(number) for number in range(51, 150)] == [one.app for one in found if one.kind == "paused"]


def test_repeated_alerts(bulletin: Bulletin, clock: FakeClock, ear: Ear) -> None:
    """What goes wrong again and again is told every ten minutes; what has episodes of its own is told every time."""
    for _ in range(5):
        bulletin.warn("ledger.unavailable", why="the disk is full")
        bulletin.warn("ledger.put_back")
        bulletin.warn("credits.low", below="5")
    clock.time += 601
    bulletin.warn("ledger.unavailable", why="the disk is full")

    assert [2, 1, 5] == [
        events(ear.heard).count(name) for name in ("ledger.unavailable", "ledger.put_back", "credits.low")
    ]


def test_no_secret(bulletin: Bulletin, ear: Ear) -> None:
    """Keys and tokens do not get out, and what is no plain JSON goes out as text."""
    bulletin.warn("key.unusable", reason="bad: sk-or-v1-canary0123", path=threading.Lock, nested=({"a": 1},))

    facts = ear.heard[0].facts
    assert "bad: [key]" == facts["reason"]
    assert isinstance(facts["path"], str)
    assert [{"a": 1}] == facts["nested"]


def test_too_many_readers(bulletin: Bulletin) -> None:
    """One reader too many is refused; whoever leaves makes room once."""
    readers = [bulletin.reader() for _ in range(READERS)]
    with pytest.raises(Unavailable) as refused:
        bulletin.reader()
    readers[0].close()
    readers[0].close()
    bulletin.reader()

    assert "too_many_readers" == refused.value.code
    with pytest.raises(Unavailable):
        bulletin.reader()


def test_closing(bulletin: Bulletin) -> None:
    """When the gateway stops, those who wait are sent home at once and nobody else is let in."""
    reader = bulletin.reader()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.more, 60)
        bulletin.close()
        found = waiting.result(SOON_S)

    assert found is None
    with pytest.raises(Unavailable):
        bulletin.reader()
