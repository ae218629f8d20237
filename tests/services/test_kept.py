from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.errors import GatewayError, TimedOut, Unauthenticated, Unavailable, UpstreamFailed
from app.services.kept import Kept
from tests.services.fakes import FakeClock, MemoryCache, Recorder


class Source:
    """What is fetched: counts, fails when told to, and waits at a gate."""

    def __init__(self) -> None:
        self.count = 0
        self.error: GatewayError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def fetch(self) -> bytes:
        self.entered.set()
        self.gate.wait(5)
        if self.error is not None:
            raise self.error
        self.count += 1
        return b"value %d" % self.count


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> Recorder:
    return Recorder()


@pytest.fixture
def kept(source: Source, clock: FakeClock, events: Recorder) -> Kept:
    return Kept(lambda: "thing", source.fetch, ttl_ms=10_000, cache=MemoryCache(), clock=clock, events=events)


def settle(kept: Kept) -> None:
    """Wait for a fetch in the background."""
    flight = kept._flight
    if flight is not None:
        assert flight.landed.wait(5)


def test_fetched_once_while_fresh(kept: Kept, source: Source, clock: FakeClock) -> None:
    """Within its time to live the value is fetched once."""
    values = []
    for _ in range(3):
        values.append(kept.get().body)
        clock.time += 2

    assert [b"value 1"] * 3 == values


def test_expired_value(kept: Kept, clock: FakeClock) -> None:
    """After its time to live the value is fetched again before it is shown."""
    kept.get()
    clock.time += 10

    value = kept.get()

    assert (b"value 2", False, 0.0) == (value.body, value.stale, value.age_s)


def test_refresh_ahead_of_need(kept: Kept, clock: FakeClock, source: Source) -> None:
    """Near its end the value is shown at once and fetched in the background for the next one who asks."""
    kept.get()
    clock.time += 9

    shown = kept.get()
    settle(kept)

    assert (b"value 1", b"value 2") == (shown.body, kept.get().body)


def test_everybody_shares_one_fetch(kept: Kept, source: Source) -> None:
    """Those who ask while a fetch is under way get its value."""
    source.gate.clear()
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(kept.get) for _ in range(10)]
        source.entered.wait(5)
        source.gate.set()
        values = {each.result().body for each in waiting}

    assert ({b"value 1"}, 1) == (values, source.count)


def test_last_good_value(kept: Kept, source: Source, clock: FakeClock, events: Recorder) -> None:
    """When fetching fails the last good value is shown, marked stale, and the failure is told."""
    kept.get()
    clock.time += 60
    source.error = UpstreamFailed("down")

    value = kept.get()

    assert (b"value 1", True, 60.0) == (value.body, value.stale, value.age_s)
    assert ["cache.refresh_failed"] == events.told


def test_pause_after_a_failure(kept: Kept, source: Source, clock: FakeClock, events: Recorder) -> None:
    """After a failure OpenRouter is left alone for a few seconds, then asked again."""
    source.error = UpstreamFailed("down")
    for _ in range(3):
        with pytest.raises(UpstreamFailed):
            kept.get()
    source.error = None
    clock.time += 6

    value = kept.get()

    assert 1 == len(events.told)
    assert b"value 1" == value.body


def test_refused_key_hides_behind_nothing(kept: Kept, source: Source, clock: FakeClock) -> None:
    """A refused key is raised although an old value is at hand."""
    kept.get()
    clock.time += 60
    source.error = Unauthenticated("no")

    with pytest.raises(Unauthenticated):
        kept.get()


def test_force_at_most_once_a_second(kept: Kept, clock: FakeClock, source: Source) -> None:
    """Force fetches again, but not within a second of the last fetch."""
    kept.get()
    early = kept.get(force=True).body
    clock.time += 1

    late = kept.get(force=True).body

    assert (b"value 1", b"value 2") == (early, late)


def test_bounded_wait(kept: Kept, source: Source) -> None:
    """Who cannot wait is told so in time, and the fetch goes on for the others."""
    source.gate.clear()

    with pytest.raises(TimedOut):
        kept.get(max_wait_s=0.01)
    source.gate.set()

    assert b"value 1" == kept.get().body


def test_clock_set_back(kept: Kept, clock: FakeClock) -> None:
    """A value from the future is not taken for an immortal one."""
    kept.get()
    clock.time -= 3600

    assert b"value 2" == kept.get().body


def test_own_cache(kept: Kept, clock: FakeClock) -> None:
    """What nobody else can have changed is not read again from the cache until it is fetched anew."""
    assert b"value 1" == kept.get().body
    cache = kept._cache
    assert isinstance(cache, MemoryCache)
    before = cache.looks
    clock.time += 5
    assert (b"value 1", b"value 1") == (kept.get().body, getattr(kept.at_hand(), "body", None))
    assert before == cache.looks

    clock.time += 10
    assert (b"value 2", b"value 2") == (kept.get().body, getattr(kept.at_hand(), "body", None))


def test_shared_cache(source: Source, clock: FakeClock, events: Recorder) -> None:
    """What another process has put into a shared cache is seen within a second, also by who asks often."""
    cache = MemoryCache(is_shared=True)
    ours, theirs = (
        Kept(lambda: "thing", source.fetch, ttl_ms=10_000, cache=cache, clock=clock, events=events) for _ in range(2)
    )
    assert b"value 1" == ours.get().body
    clock.time += 1
    theirs.get(force=True)
    clock.time += 1

    assert b"value 2" == getattr(ours.at_hand(), "body", None)


def test_broken_fetch(kept: Kept, source: Source, events: Recorder) -> None:
    """A bug in a fetch is an error for those who wait, never a hang, and is told."""
    source.fetch = lambda: 1 // 0  # type: ignore[method-assign, return-value, assignment]
    kept._fetch = source.fetch  # type: ignore[assignment]

    with pytest.raises(GatewayError):
        kept.get()
    assert ["cache.refresh_broke"] == events.told


def test_fetch_without_a_name(source: Source, clock: FakeClock, events: Recorder) -> None:
    """A fetch whose place is not known, for want of a key, fails those who wait; the next one is begun anew."""
    broken = threading.Event()

    def name() -> str:
        if threading.current_thread().name == "orgate-fetch" and not broken.is_set():
            broken.set()
            raise Unavailable("There is no key.", code="no_api_key")
        return "thing"

    kept = Kept(name, source.fetch, ttl_ms=10_000, cache=MemoryCache(), clock=clock, events=events)

    with pytest.raises(Unavailable):
        kept.get(max_wait_s=5)
    clock.time += 10
    assert b"value 1" == kept.get(max_wait_s=5).body
