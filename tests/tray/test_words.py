from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.quick import quick
from tests.tray.builders import AT, NOW, failed, reading, seen, usage
from tray import words
from tray.figures import Health
from tray.reading import Trouble


@pytest.mark.parametrize(
    ("amount", "glyphs"),
    [
        ("1000", "99+"),
        ("100", "99+"),
        ("99.99", "99"),
        ("17.58", "17"),
        ("10", "10"),
        ("9.99", "9.9"),
        ("9.05", "9"),
        ("4.5", "4.5"),
        ("1", "1"),
        ("0.999", ".99"),
        ("0.05", ".05"),
        ("0.009", "0"),
        ("0", "0"),
        ("-3", "0"),
    ],
)
def test_glyphs(amount: str, glyphs: str) -> None:
    """An amount is at most three glyphs."""
    assert glyphs == words.glyphs(Decimal(amount))


@quick
@given(st.decimals(-10, 200, places=4))
def test_glyphs_never_promise_more(amount: Decimal) -> None:
    """The icon never shows more than there is."""
    shown = words.glyphs(amount)

    assert len(shown) <= 3
    assert Decimal(shown.removesuffix("+")) <= max(amount, Decimal(0))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("17.579", "$17.58"), ("1234.5", "$1,234.50"), ("0", "$0.00"), ("0.004", "<$0.01"), ("-0.5", "-$0.50")],
)
def test_money(amount: str, text: str) -> None:
    """Amounts are shown to the cent; less than a cent is not shown as nothing."""
    assert text == words.money(Decimal(amount))


def test_three_different_messages() -> None:
    """That the gateway is down, that there is no key and that OpenRouter is away are three different sentences."""
    told = [
        words.sentence(seen(failed(trouble)), NOW) for trouble in (Trouble.DOWN, Trouble.NO_KEY, Trouble.UNREACHABLE)
    ]

    assert [
        "The gateway is not running. Start it with: orgate serve",
        "The gateway has no OpenRouter key. Give it one with: orgate key set",
        "OpenRouter cannot be reached. The balance is unknown until then.",
    ] == told


def test_where_no_gateway_runs() -> None:
    """Whoever gave a wrong address sees which one it was."""
    told = words.sentence(seen(replace(failed(Trouble.DOWN), base_url="http://box:1")), NOW)

    assert "The gateway is not running at http://box:1. Start it with: orgate serve" == told


@pytest.mark.parametrize("trouble", list(Trouble))
def test_every_trouble_has_its_sentence(trouble: Trouble) -> None:
    """Whatever the trouble, there is a sentence of its own for it."""
    others = {words.sentence(seen(failed(other)), NOW) for other in Trouble if other is not trouble}

    assert words.sentence(seen(failed(trouble)), NOW) not in others


@pytest.mark.parametrize(
    ("snapshot", "sentence"),
    [
        (seen(reading("17.58")), "$17.58 is left at OpenRouter."),
        (seen(reading("4.20")), "Little is left at OpenRouter: $4.20."),
        (seen(reading("0.40")), "Only $0.40 is left at OpenRouter."),
        (seen(reading("-0.40")), "Nothing is left at OpenRouter: -$0.40."),
        (seen(reading(None, cap=("3", "100"))), "Little is left of the key's cap: $3.00."),
        (seen(reading(None)), "OpenRouter does not tell this key the balance, and the key has no cap."),
        (
            seen(reading(None, health=Health(None, "payment_required", ()))),
            "OpenRouter refused the last call for want of money.",
        ),
        (
            seen(reading("17.58"), failed(Trouble.UNREACHABLE)),
            "OpenRouter cannot be reached. $17.58 was left at 14:05.",
        ),
        (
            seen(reading("17.58", today=usage(paused=frozenset({"*"})))),
            "All programs are paused. $17.58 is left at OpenRouter.",
        ),
    ],
)
def test_sentence(snapshot: object, sentence: str) -> None:
    """How things stand is one sentence, and a cap is never called a balance."""
    assert sentence == words.sentence(snapshot, NOW)  # type: ignore[arg-type]


def test_title() -> None:
    """The tooltip tells what is left, what today cost and until when it lasts."""
    snapshot = seen(reading("17.58", today=usage({"editor": "0.42"}), ends_at=AT + 6 * 86_400))

    assert "orgate: $17.58 is left at OpenRouter · today $0.42 · until about 28 Nov" == words.title(snapshot, NOW)


def test_title_fits_windows() -> None:
    """However long a reason is, the tooltip stays within what Windows takes."""
    assert 127 >= len(words.title(seen(failed(Trouble.REFUSED, "x" * 500)), NOW))


@pytest.mark.parametrize(
    "snapshot",
    [
        seen(reading("17.58", cap=("3.14", "5"), today=usage({"editor": "0.42"}), ends_at=AT + 9e5)),
        seen(reading("0.40")),
        seen(reading("-1.23")),
        seen(reading("4.20"), failed(Trouble.UNREACHABLE)),
    ],
)
def test_hidden(snapshot: object) -> None:
    """With amounts hidden no text tells one, not even the icon."""
    told = [
        words.title(snapshot, NOW, hidden=True),  # type: ignore[arg-type]
        words.sentence(snapshot, NOW, hidden=True),  # type: ignore[arg-type]
        words.badge(snapshot, hidden=True),  # type: ignore[arg-type]
        words.balance(snapshot, hidden=True),  # type: ignore[arg-type]
    ]

    assert not any("$" in text for text in told)
    assert not any(digit in told[2] for digit in "0123456789")


def test_moments() -> None:
    """Moments are told in the owner's own time, as exactly as they are of use."""
    assert "15:05" == words.clock_time(AT + 3600 - 30, NOW)
    assert "21 Nov 14:05" == words.clock_time(AT - 86_400, NOW)
    assert "19:00" == words.coarse(AT + 5 * 3600, NOW)
    assert "02:00 tomorrow" == words.coarse(AT + 12 * 3600, NOW)
    assert "1 Dec" == words.coarse(AT + 9 * 86_400, NOW)
    assert "1 Feb 2027" == words.coarse(AT + 71 * 86_400, NOW)
