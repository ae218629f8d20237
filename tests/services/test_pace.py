from __future__ import annotations

from app.core.forecast import DAY_S, HOUR_S
from app.core.money import NANO
from app.services.pace import Pace
from tests.services.fakes import Books, FakeClock, Recorder


def test_pace() -> None:
    """The windows end now, and what lies before them does not count."""
    books, clock = Books(), FakeClock()
    books.spendings = [
        (clock.time - 8 * DAY_S, 1000 * NANO),
        (clock.time - 2 * DAY_S, 140 * NANO),
        (clock.time - 2 * HOUR_S, 22 * NANO),
        (clock.time - 60, 2 * NANO),
    ]

    found = Pace(books, clock, Recorder()).forecast(10 * NANO)

    assert {"1h": 2 * NANO, "24h": NANO, "7d": 164 * NANO // 168} == found.per_hour
    assert clock.time + 10 * HOUR_S == found.ends_at


def test_asked_often() -> None:
    """Whoever asks again at once is told the same sums without a look into the ledger."""
    books, clock = Books(), FakeClock()
    books.spendings = [(clock.time - DAY_S / 2, 12 * NANO)]
    pace = Pace(books, clock, Recorder())

    first = [pace.forecast(NANO).per_hour["24h"] for _ in range(3)]
    reads = books.reads
    books.spendings.append((clock.time - 1, 24 * NANO))
    clock.time += 10

    assert [NANO] * 3 == first
    assert 3 == reads
    assert NANO < (pace.forecast(NANO).per_hour["24h"] or 0)


def test_ledger_that_cannot_be_read() -> None:
    """Without the ledger there is no forecast, and the owner hears why; nothing else suffers."""
    books, events = Books(), Recorder()
    books.error = OSError("no such file")

    found = Pace(books, FakeClock(), events).forecast(NANO)

    assert "not_enough_data" == found.reason
    assert ["forecast.broke"] == events.told
