from __future__ import annotations

import threading

import pytest

from app.adapters import gathered
from app.adapters.gathered import Gathered
from app.core.calls import CallReport
from tests.services.fakes import Recorder

SOON_S = 5.0


class Hearer(Recorder):
    """Remembers what it was told and by which threads, and wakes who waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Semaphore(0)
        self.threads: list[str] = []

    def call_ended(self, report: CallReport) -> None:
        super().call_ended(report)
        self.note(report.call_id)

    def note(self, event: str, **facts: object) -> None:
        super().note(event, **facts)
        self.threads.append(threading.current_thread().name)
        self.heard.release()

    warn = note


def report(name: str) -> CallReport:
    """A call that is over."""
    return CallReport(
        call_id=name,
        app="app",
        endpoint="chat",
        model="m",
        fallbacks=(),
        stream=False,
        status=200,
        outcome="answered",
        duration_s=0.1,
        first_byte_s=0.1,
        attempts=(),
    )


@pytest.fixture
def for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends is gathered until somebody asks for it."""
    monkeypatch.setattr(gathered, "_GATHER_S", 600)


def test_told_soon() -> None:
    """Calls are told of in the order of their ends, by themselves, and by another thread than theirs."""
    hearer = Hearer()
    events = Gathered(hearer)
    for name in ("one", "two"):
        events.call_ended(report(name))

    assert hearer.heard.acquire(timeout=SOON_S)
    assert hearer.heard.acquire(timeout=SOON_S)
    assert ["one", "two"] == hearer.told
    assert {"orgate-events"} == set(hearer.threads)
    events.stop()


def test_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends while others are told of is told of as well."""
    monkeypatch.setattr(gathered, "_GATHER_S", 0)
    hearer = Hearer()
    events = Gathered(hearer)
    for number in range(200):
        events.call_ended(report(str(number)))
        if number % 3 == 0:
            assert hearer.heard.acquire(timeout=SOON_S)

    events.stop()
    assert [str(number) for number in range(200)] == hearer.told


@pytest.mark.parametrize("tell", ["note", "warn", "broke"])
def test_order(for_long: None, tell: str) -> None:
    """What else happens is told at once, and after the calls that were over before."""
    hearer = Hearer()
    events = Gathered(hearer)
    events.call_ended(report("call"))
    if tell == "broke":
        events.broke("relay.broke", ValueError(), model="m")
    else:
        getattr(events, tell)("relay.broke", model="m")

    assert ["call", "relay.broke"] == hearer.told
    assert [{"model": "m"}] == hearer.of("relay.broke")
    events.stop()


def test_flush(for_long: None) -> None:
    """Who reads what the calls add up to finds all of them."""
    hearer = Hearer()
    events = Gathered(hearer)
    events.call_ended(report("call"))
    assert [] == hearer.told

    events.flush()
    assert ["call"] == hearer.told
    events.stop()


def test_flush_while_told() -> None:
    """Who reads waits for the call that is just being told of."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Hearer):
        def call_ended(self, report: CallReport) -> None:
            begun.set()
            assert go_on.wait(SOON_S)
            super().call_ended(report)

    slow = Slow()
    events = Gathered(slow)
    events.call_ended(report("call"))
    assert begun.wait(SOON_S)
    seen: list[list[str]] = []
    reader = threading.Thread(target=lambda: (events.flush(), seen.append(list(slow.told))))
    reader.start()
    go_on.set()
    reader.join(SOON_S)

    assert [["call"]] == seen
    events.stop()


def test_too_many(for_long: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log does not keep up, who ends a call tells of it and waits for that."""
    monkeypatch.setattr(gathered, "_MOST", 3)
    hearer = Hearer()
    events = Gathered(hearer)
    for name in ("one", "two", "three"):
        events.call_ended(report(name))
    assert [] == hearer.told

    events.call_ended(report("four"))
    assert ["one", "two", "three", "four"] == hearer.told
    events.stop()


def test_stop_while_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that nobody reads keeps the gateway from its end for a few seconds only."""
    monkeypatch.setattr(gathered, "_END_S", 0.01)
    monkeypatch.setattr("app.adapters.lookout._END_S", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    class Stuck(Hearer):
        def call_ended(self, report: CallReport) -> None:
            begun.set()
            assert go_on.wait(SOON_S)

    events = Gathered(Stuck())
    events.call_ended(report("call"))
    assert begun.wait(SOON_S)
    stopper = threading.Thread(target=events.stop)
    stopper.start()
    stopper.join(SOON_S)

    assert not stopper.is_alive()
    assert not go_on.is_set()
    go_on.set()


def test_stop(for_long: None) -> None:
    """At the end nothing is left, and what comes still later is told of at once."""
    hearer = Hearer()
    events = Gathered(hearer)
    events.call_ended(report("before"))
    events.stop()
    assert ["before"] == hearer.told

    events.call_ended(report("after"))
    assert ["before", "after"] == hearer.told


def test_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, whoever ends a call tells of it; later ones are told of by the thread again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    hearer = Hearer()
    events = Gathered(hearer)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        events.call_ended(report("one"))
        assert ["one"] == hearer.told

    assert hearer.heard.acquire(timeout=SOON_S)
    events.call_ended(report("two"))
    assert hearer.heard.acquire(timeout=SOON_S)
    assert "orgate-events" == hearer.threads[-1]
    events.stop()
