from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.breaker import Breaker
from tests.core.quick import quick


def failed(*times: float) -> Breaker:
    """A breaker after failures at these times."""
    breaker = Breaker()
    for time in times:
        breaker = breaker.failed(time)
    return breaker


@pytest.mark.parametrize("times", [[], [100.0], [100.0, 100.0]], ids=["new", "one failure", "two failures"])
def test_patience(times: list[float]) -> None:
    """Fewer than three failures leave a model alone."""
    breaker = failed(*times)

    assert (True, False) == (breaker.allows(100.0), breaker.is_open)


@pytest.mark.parametrize(
    ("now", "allowed"),
    [(100.0, False), (109.9, False), (110.0, True), (500.0, True)],
    ids=["at once", "9.9", "10", "400"],
)
def test_rest(now: float, allowed: bool) -> None:
    """The third failure in a row lets the model rest for 10 s, then a call may probe it."""
    breaker = failed(98.0, 99.0, 100.0)

    assert allowed == breaker.allows(now)
    assert breaker.is_open


def test_success_between_failures() -> None:
    """Only failures in a row count."""
    breaker = failed(1, 2).answered().failed(3).failed(4)

    assert breaker.allows(4)
    assert not breaker.failed(5).allows(5)


def test_one_probe_at_a_time() -> None:
    """While a probe is out the others wait, but no longer than 20 s in case it never comes back."""
    probed = failed(0, 0, 0).sent(10)

    assert not probed.allows(10)
    assert not probed.allows(29.9)
    assert probed.allows(30)


def test_probe_succeeds() -> None:
    """The success of the probe closes the breaker, and its failures are forgotten."""
    assert Breaker() == failed(0, 0, 0).sent(10).answered()


@pytest.mark.parametrize("later_s", [0.1, 5.0, 19.0])
def test_probe_fails(later_s: float) -> None:
    """After a failed probe the next follows 20 s after it was sent, however long it took to fail."""
    breaker = failed(0, 0, 0).sent(10).failed(10 + later_s)

    assert not breaker.allows(29.9)
    assert breaker.allows(30)


def test_calls_that_were_under_way() -> None:
    """Calls that were sent before the breaker opened, and fail after that, do not make the rest longer."""
    breaker = failed(0, 0, 0, 1, 2, 9)

    assert not breaker.allows(9.9)
    assert breaker.allows(10)


def test_sending_to_a_well_model() -> None:
    """Sending alone changes nothing."""
    assert failed(1, 2) == failed(1, 2).sent(3)


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["sent", "failed"])), max_size=40))
@quick
def test_never_shut_out_for_long(steps: list[tuple[float, str]]) -> None:
    """Whatever happens, a model is allowed again at most 20 s after something was sent to it or opened its breaker."""
    now, breaker = 0.0, failed(0, 0, 0)
    last_sent = 0.0
    for later_s, what in steps:
        now += later_s
        if what == "sent":
            breaker, last_sent = breaker.sent(now), now
        else:
            breaker = breaker.failed(now)

        assert breaker.allows(last_sent + 20)
