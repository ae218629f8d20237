from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.gateway import Gateway
from tests.lab.client.lab import comes_true
from tests.tray.places import announced, foreign_server, settings
from tray import listener as listener_module
from tray.client import Client, Place
from tray.figures import Notice
from tray.listener import Listener

PATIENCE_S = 10.0


@dataclass
class Heard:
    """What a listener has told."""

    notices: queue.SimpleQueue[Notice] = field(default_factory=queue.SimpleQueue)
    changes: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    last: int | None = None

    def take(self, notice: Notice) -> None:
        self.last = notice.id
        self.notices.put(notice)

    def next(self) -> Notice:
        """The next notice but news of the balance, which the gateway fetches when it likes."""
        while (found := self.notices.get(timeout=PATIENCE_S)).kind == "credits":
            """Not this one."""
        return found


@contextmanager
def listening(client: Client) -> Iterator[tuple[Heard, Listener]]:
    """A listener at work."""
    heard = Heard()
    listener = Listener(place=client.place, since=lambda: heard.last, heard=heard.take, changed=heard.changes.release)
    listener.start()
    try:
        yield heard, listener
    finally:
        listener.stop()


def test_notices(gateway: Gateway) -> None:
    """What the gateway announces is heard as it happens."""
    with listening(Client(announced(gateway), time.time)) as (heard, _):
        assert heard.changes.acquire(timeout=PATIENCE_S)
        gateway.services.events.warn("budget.exceeded", app="agent", period="day", limit="5")
        notice = heard.next()

    assert ("alert", "budget.exceeded") == (notice.kind, notice.event)
    assert "agent has used up its budget of $5.00 a day." == notice.message
    assert {"app": "agent", "period": "day", "limit": "5"} == dict(notice.facts)


def test_missed_notices(gateway: Gateway) -> None:
    """What was announced before the tray listened is repeated to it, once."""
    client = Client(announced(gateway), time.time)
    gateway.services.events.warn("key.refused", which="key")
    with listening(client) as (heard, _):
        first = heard.next()
    with listening(client) as (again, listener):
        again.last = first.id
        listener.nudge()
        gateway.services.events.warn("ledger.broken", why="test")
        while (following := again.next()).id <= first.id:
            """The connection may have begun before it was known what was heard."""

    assert ("key.refused", "ledger.broken") == (first.event, following.event)


def test_comes_back(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the gateway ends the connection that is worth a look, and it is listened again."""
    monkeypatch.setattr(listener_module, "_FIRST_PAUSE_S", 0.01)
    with listening(Client(announced(gateway), time.time)) as (heard, _):
        assert heard.changes.acquire(timeout=PATIENCE_S)
        gateway.services.office.revoke("orgate")
        gateway.services.events.warn("ledger.broken", why="test")
        assert heard.changes.acquire(timeout=PATIENCE_S)
        announced(gateway)
        assert heard.changes.acquire(timeout=PATIENCE_S)


@pytest.mark.parametrize("there", [True, False])
def test_ends_at_once(gateway: Gateway, there: bool) -> None:
    """Stopping waits neither for the next word nor for a gateway that is not there."""
    found = announced(gateway) if there else settings(gateway.folder / "none")
    with listening(Client(found, time.time)) as (heard, listener):
        assert there is heard.changes.acquire(timeout=PATIENCE_S if there else 0.1)
        began = time.monotonic()
        listener.stop()

    assert time.monotonic() - began < 1
    assert not any(thread.name == "orgate-listener" for thread in threading.enumerate())


@pytest.mark.parametrize("status", [200, 302, 401])
def test_stranger_sees_no_token(status: int) -> None:
    """Whatever else answers at the gateway's address is asked who it is, and shown nothing."""
    heard = Heard()
    with foreign_server(status) as other:
        place = Place(other.url, "a-secret-token")
        listener = Listener(place=lambda: place, since=lambda: None, heard=heard.take, changed=heard.changes.release)
        listener.start()
        asked = comes_true(lambda: bool(other.headers), PATIENCE_S)
        listener.stop()

    assert asked
    assert "a-secret-token" not in str(other.headers)
