from __future__ import annotations

import pytest

from tray.clock import Pulse, slept

START = Pulse(1_000_000.0, 500.0)


@pytest.mark.parametrize(
    ("wall_s", "steady_s", "expected"),
    [
        pytest.param(5, 5, False, id="nothing happened"),
        pytest.param(605, 5, True, id="sleep on Linux and macOS"),
        pytest.param(605, 605, True, id="sleep on Windows"),
        pytest.param(20, 20, False, id="a loaded machine"),
        pytest.param(7, 5, False, id="a clock that was corrected"),
        pytest.param(-3595, 5, False, id="a clock that was set back"),
    ],
)
def test_slept(wall_s: float, steady_s: float, expected: bool) -> None:
    """Sleep is noticed by the time that is missing, and a busy machine or a corrected clock is not taken for it."""
    assert expected is slept(START, Pulse(START.wall + wall_s, START.steady + steady_s), meant_s=5)
