from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadRequest
from app.core.wishes import NAMES, Wishes, read
from tests.core.quick import quick

TIMES = ["first-content-timeout", "idle-timeout", "timeout"]


@pytest.mark.parametrize(
    ("given", "wishes"),
    [
        pytest.param({}, Wishes(), id="none"),
        pytest.param({"delivery": "live"}, Wishes(), id="live"),
        pytest.param({"delivery": "whole"}, Wishes(whole=True), id="whole"),
        pytest.param({"queue": "60"}, Wishes(queue_s=60.0), id="queue"),
        pytest.param({"queue": "0"}, Wishes(queue_s=0.0), id="no queue"),
        pytest.param({"first-content-timeout": "5"}, Wishes(first_content_s=5.0), id="first content"),
        pytest.param({"idle-timeout": "0.001"}, Wishes(idle_s=0.001), id="idle"),
        pytest.param({"timeout": " 86400 "}, Wishes(total_s=86_400.0), id="total"),
        pytest.param({"retry-ambiguous": "1"}, Wishes(retry_ambiguous=True), id="ambiguous"),
        pytest.param({"retry-ambiguous": "0"}, Wishes(), id="not ambiguous"),
        pytest.param({"cache": "3600"}, Wishes(cache_s=3600.0), id="cache"),
        pytest.param({"cache": "0"}, Wishes(cache_s=0.0), id="cache anew"),
        pytest.param({"color": "red"}, Wishes(), id="unknown"),
    ],
)
def test_wishes(given: dict[str, str], wishes: Wishes) -> None:
    """Each wish is read under its name, and what is not wished for is left to the settings."""
    assert wishes == read(given)


def test_all_at_once() -> None:
    """Every name is a wish of its own."""
    values = ["whole", "1", "2", "3", "4", "1", "1", "1", "5"]

    assert Wishes(True, 1.0, 2.0, 3.0, 4.0, True, True, True, 5.0) == read(dict(zip(NAMES, values, strict=True)))


@pytest.mark.parametrize(
    ("name", "value", "header"),
    [
        ("delivery", "", "X-Orgate-Delivery"),
        ("delivery", "Whole", "X-Orgate-Delivery"),
        ("delivery", "both", "X-Orgate-Delivery"),
        ("retry-ambiguous", "true", "X-Orgate-Retry-Ambiguous"),
        ("retry-ambiguous", "", "X-Orgate-Retry-Ambiguous"),
        ("queue", "-1", "X-Orgate-Queue"),
        ("queue", "1m", "X-Orgate-Queue"),
        ("cache", "on", "X-Orgate-Cache"),
        ("cache", "-1", "X-Orgate-Cache"),
        ("cache", "86401", "X-Orgate-Cache"),
        ("first-content-timeout", "0", "X-Orgate-First-Content-Timeout"),
        ("idle-timeout", "0.0", "X-Orgate-Idle-Timeout"),
        *(
            ("timeout", value, "X-Orgate-Timeout")
            for value in ("0", "NaN", "inf", "1e3", "86401", "99999999", "", "1,5")
        ),
    ],
)
def test_bad_wish(name: str, value: str, header: str) -> None:
    """A value that cannot be meant is refused under its header's name, and before anything is sent."""
    with pytest.raises(BadRequest, match=header) as refused:
        read({name: value})

    assert header == refused.value.param


@given(st.sampled_from(["queue", *TIMES]), st.text(alphabet="0123456789.-+eEinfNa \t_", max_size=8))
@quick
def test_any_seconds(name: str, text: str) -> None:
    """Whatever stands there is refused, or a time between nothing and a day."""
    try:
        wishes = read({name: text})
    except BadRequest:
        return
    seconds = {
        "queue": wishes.queue_s,
        "first-content-timeout": wishes.first_content_s,
        "idle-timeout": wishes.idle_s,
        "timeout": wishes.total_s,
    }[name]

    assert seconds is not None
    assert 0 <= seconds <= 86_400
    assert name == "queue" or seconds > 0


@pytest.mark.parametrize("name", ["first-content-timeout", "idle-timeout", "timeout"])
def test_hasty(name: str) -> None:
    """Clocks below half a second leave a model no time."""
    assert read({name: "0.4"}).hasty
    assert not read({name: "0.5"}).hasty
    assert not read({}).hasty
