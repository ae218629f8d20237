from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from tray.artwork import SIZES, draw
from tray.state import State

BARS = {"dark": (0x1E, 0x1E, 0x1E), "light": (0xF2, 0xF2, 0xF2)}
SAMPLES = [
    (State.OK, "17"),
    (State.OK, "9"),
    (State.OK, "4.5"),
    (State.OK, "99+"),
    (State.OK, "?"),
    (State.LOW, "4.2"),
    (State.CRITICAL, ".45"),
    (State.CRITICAL, "0"),
    (State.STALE, "17"),
    (State.STALE, "?"),
    (State.OFFLINE, "4.5"),
    (State.OFFLINE, ""),
    (State.NO_KEY, ""),
    (State.PAUSED, ""),
]


def on(bar: str, icon: Image.Image) -> Image.Image:
    """The icon as a panel of this colour shows it."""
    shown = Image.new("RGB", icon.size, BARS[bar])
    shown.paste(icon, (0, 0), icon)
    return shown


def difference(one: Image.Image, other: Image.Image) -> float:
    """How different two pictures are, 0 to 255, on average over all pixels and without regard to colour."""
    return float(ImageStat.Stat(ImageChops.difference(one.convert("L"), other.convert("L"))).mean[0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", list(State))
def test_size(state: State, size: int) -> None:
    """An icon has the size that was asked for, fills most of it, and is transparent around."""
    icon = draw(state, "17", size)
    alpha = icon.getchannel("A")

    assert ("RGBA", (size, size)) == (icon.mode, icon.size)
    assert 0.6 < ImageStat.Stat(alpha).mean[0] / 255 <= 1
    assert 255 > alpha.getpixel((0, 0))  # type: ignore[operator]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bar", list(BARS))
def test_states_differ_without_colour(bar: str, size: int) -> None:
    """With the same glyphs every state is told from every other by its shape alone, on dark and light bars."""
    shown = {state: on(bar, draw(state, "4", size)).convert("L").point(lambda value: value) for state in State}
    alphas = {state: draw(state, "4", size, template=True).getchannel("A") for state in State}

    for one, other in itertools.combinations(State, 2):
        assert difference(shown[one], shown[other]) > 6, (one, other)
        assert difference(alphas[one], alphas[other]) > 6, (one, other)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", [State.OK, State.LOW, State.CRITICAL, State.STALE, State.OFFLINE])
def test_digits_differ(state: State, size: int) -> None:
    """Every digit can be told from every other at every size."""
    drawn = [draw(state, digit, size) for digit in "0123456789"]

    for one, other in itertools.combinations(drawn, 2):
        assert difference(on("dark", one), on("dark", other)) > 1.2


@pytest.mark.parametrize("bar", list(BARS))
@pytest.mark.parametrize(("state", "badge"), SAMPLES)
def test_seen_on_any_bar(state: State, badge: str, bar: str) -> None:
    """An icon stands out from the bar behind it, dark or light, and its glyphs from the icon."""
    empty, shown = Image.new("RGB", (22, 22), BARS[bar]), on(bar, draw(state, badge, 22))
    low, high = shown.convert("L").getextrema()

    assert difference(empty, shown) > 25
    assert high - low > 90  # type: ignore[operator]


@pytest.mark.parametrize(("state", "badge"), SAMPLES)
def test_template(state: State, badge: str) -> None:
    """For macOS an icon is black and transparent only, and not a solid block."""
    icon = draw(state, badge, 22, template=True)
    red, green, blue, alpha = icon.split()

    black = ImageChops.multiply(ImageChops.lighter(ImageChops.lighter(red, green), blue), alpha)
    assert (0, 0) == black.getextrema()
    assert 0.1 < ImageStat.Stat(alpha).mean[0] / 255 < 0.75


def test_same_every_time() -> None:
    """The same state and glyphs are drawn the same, to the pixel."""
    assert draw(State.LOW, "4.2").tobytes() == draw(State.LOW, "4.2").tobytes()


def test_contact_sheet(tmp_path: Path) -> None:
    """All states at all sizes on dark and light bars make a sheet that can be looked at."""
    sheet = contact_sheet()
    sheet.save(tmp_path / "sheet.png")

    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def contact_sheet() -> Image.Image:
    """Every sample at every size, on each bar; and small ones made from 64 pixels, as many panels do."""
    strips = []
    for bar in BARS:
        for size, made in [*((size, size) for size in SIZES), (16, 64), (22, 64)]:
            strip = Image.new("RGB", (len(SAMPLES) * 72, size + 8), BARS[bar])
            for number, (state, badge) in enumerate(SAMPLES):
                icon = draw(state, badge, made).resize((size, size), Image.Resampling.BILINEAR)
                strip.paste(icon, (number * 72 + 4, 4), icon)
            strips.append(strip)
    whole = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)))
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    return whole.resize((whole.width * 2, whole.height * 2), Image.Resampling.NEAREST)
