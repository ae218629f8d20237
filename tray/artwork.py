"""The icon: two or three glyphs on a tile whose colour and shape both tell the state; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from tray.state import State

SIZES = (16, 22, 32, 64)
"""What panels show an icon at, in pixels."""

_GRID = 64
"""All shapes are laid out on a square of so many units."""

_FINER = 8
"""Drawn so many times larger, then made smaller: edges come out smooth."""

_RIM = 5
"""How thick an outline is, in units of the grid."""

_TALLEST = 1.45
"""So much taller than its font has it a glyph may be drawn: three of them are read by their height."""

Colour = tuple[int, int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""

_CLEAR, _BLACK, _WHITE = (0, 0, 0, 0), (0, 0, 0, 255), (255, 255, 255, 255)
_GREY, _PALE, _DARK = (0x6B, 0x6B, 0x6B, 255), (0xC4, 0xC4, 0xC4, 255), (0x3A, 0x3A, 0x3A, 255)
# Okabe and Ito's palette, which colour-blind people can tell apart.
_BLUE, _ORANGE, _VERMILION = (0x00, 0x72, 0xB2, 255), (0xE6, 0x9F, 0x00, 255), (0xD5, 0x5E, 0x00, 255)
_SKY, _PURPLE = (0x56, 0xB4, 0xE9, 255), (0xCC, 0x79, 0xA7, 255)


class Pen:
    """Draws on the grid, whatever size the picture has; `scale` shrinks all towards the middle."""

    def __init__(self, side: int) -> None:
        self.image = Image.new("RGBA", (side, side), _CLEAR)
        self.scale = 1.0
        self._draw = ImageDraw.Draw(self.image)
        self._unit = side / _GRID

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(self._at(x), self._at(y)) for x, y in points], fill=colour)

    def tile(self, box: Box, radius: float, colour: Colour) -> None:
        """A filled rectangle with round corners."""
        self._draw.rounded_rectangle(self._box(box), radius * self.scale * self._unit, fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle."""
        self._draw.ellipse(self._box((x - radius, y - radius, x + radius, y + radius)), fill=colour)

    def line(self, begin: Point, end: Point, width: float, colour: Colour) -> None:
        """A line with round ends."""
        (x0, y0), (x1, y1) = begin, end
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (y1 - y0) / length * width / 2, (x0 - x1) / length * width / 2
        self.polygon([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)], colour)
        self.disc(x0, y0, width / 2, colour)
        self.disc(x1, y1, width / 2, colour)

    def text(self, glyphs: str, room: Box, colour: Colour) -> None:
        """The glyphs, as large as the room allows and in its middle."""
        left, top, right, bottom = (round(self._at(value)) for value in room)
        mask = _mask(glyphs, bottom - top)
        width = min(right - left, round(mask.width * (bottom - top) / mask.height))
        height = min(bottom - top, round(mask.height * width / mask.width * _TALLEST))
        mask = mask.resize((width, height), Image.Resampling.LANCZOS)
        at = (left + (right - left - width) // 2, top + (bottom - top - height) // 2)
        self.image.paste(colour, (*at, at[0] + width, at[1] + height), mask)

    def _at(self, value: float) -> float:
        return ((value - _GRID / 2) * self.scale + _GRID / 2) * self._unit

    def _box(self, box: Box) -> Box:
        left, top, right, bottom = (self._at(value) for value in box)
        return left, top, right - 1, bottom - 1


@dataclass(frozen=True)
class Look:
    """How a state is drawn."""

    shape: Callable[[Pen, Colour], None]
    fill: Colour
    ink: Colour
    room: Box | None
    """The glyphs' place, in units of the grid; None where the state shows no amount."""
    mark: Callable[[Pen, Colour], None] | None = None
    """What is drawn on the shape beside the glyphs, in the colour of `tint`."""
    tint: Colour = _BLACK
    alone: Callable[[Pen, Colour], None] | None = None
    """What is drawn instead of glyphs and mark when there are none."""
    rim: Colour | None = None
    """The colour of the shape's outline, where it has one."""


def draw(state: State, badge: str, size: int = 64, template: bool = False) -> Image.Image:
    """
    The icon of a state with up to three glyphs, so many pixels wide and high.

    `template`: black on transparent, for macOS, which colours it itself and looks at nothing but what is opaque.
    """
    look = _LOOKS[state]
    fill, ink, tint = (_CLEAR, _BLACK, _BLACK) if template else (look.fill, look.ink, look.tint)
    rim = _BLACK if template else look.rim
    pen = Pen(size * _FINER)
    look.shape(pen, rim or fill)
    if rim is not None:
        pen.scale = 1 - 2 * _RIM / _GRID
        look.shape(pen, fill)
        pen.scale = 1.0
    alone = look.alone if look.room is None or not badge else None
    if look.mark is not None and alone is None:
        look.mark(pen, tint)
    # Inside a black outline glyphs need more air than on a colour.
    pen.scale = 0.84 if template else 1.0
    if alone is not None:
        alone(pen, ink)
    elif look.room is not None and badge:
        pen.text(badge, look.room, ink)
    return pen.image.resize((size, size), Image.Resampling.BOX)


def _mask(glyphs: str, height: int) -> Image.Image:
    """The glyphs in white on black without any border, about so many pixels high, a little bolder than the font."""
    # The basic layout: the other one draws garbage once GTK has brought its own HarfBuzz.
    font = ImageFont.load_default(max(height, 8) * 1.4)
    stroke = max(1, round(height * 0.045))
    left, top, right, bottom = font.getbbox(glyphs, stroke_width=stroke)
    mask = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2), 0)
    ImageDraw.Draw(mask).text((1 - left, 1 - top), glyphs, fill=255, font=font, stroke_width=stroke)
    return mask.crop(mask.getbbox())


def _tile(pen: Pen, colour: Colour) -> None:
    pen.tile((1, 1, 63, 63), 13, colour)


def _shield(pen: Pen, colour: Colour) -> None:
    """It points down."""
    pen.tile((1, 1, 63, 44), 8, colour)
    pen.polygon([(1, 36), (63, 36), (63, 44), (32, 64), (1, 44)], colour)


def _octagon(pen: Pen, colour: Colour) -> None:
    near, far = 19, _GRID - 19
    pen.polygon([(near, 0), (far, 0), (64, near), (64, far), (far, 64), (near, 64), (0, far), (0, near)], colour)


def _dog_eared(pen: Pen, colour: Colour) -> None:
    _tile(pen, colour)
    pen.polygon([(44, 0), (64, 0), (64, 20)], _CLEAR)


def _disc(pen: Pen, colour: Colour) -> None:
    pen.disc(32, 32, 31, colour)


def _ear(pen: Pen, colour: Colour) -> None:
    pen.polygon([(44, 1), (63, 20), (44, 20)], colour)


def _broken_line(pen: Pen, colour: Colour) -> None:
    pen.line((15, 51), (25, 51), 6, colour)
    pen.line((39, 51), (49, 51), 6, colour)


def _slash(pen: Pen, colour: Colour) -> None:
    pen.line((20, 46), (44, 18), 8, colour)


def _bars(pen: Pen, colour: Colour) -> None:
    pen.tile((18, 16, 28, 48), 2, colour)
    pen.tile((36, 16, 46, 48), 2, colour)


def _key(pen: Pen, colour: Colour) -> None:
    pen.line((26, 32), (56, 32), 7, colour)
    pen.line((43, 32), (43, 43), 7, colour)
    pen.line((54, 32), (54, 45), 7, colour)
    pen.disc(20, 32, 14, colour)


_LOOKS = {
    State.OK: Look(_tile, _BLUE, _WHITE, (7, 11, 57, 53)),
    State.LOW: Look(_shield, _ORANGE, _BLACK, (7, 8, 57, 45)),
    State.CRITICAL: Look(_octagon, _VERMILION, _WHITE, (7, 14, 57, 50)),
    State.STALE: Look(_dog_eared, _GREY, _WHITE, (7, 23, 57, 57), mark=_ear, tint=_PALE),
    State.OFFLINE: Look(_tile, _WHITE, _DARK, (10, 10, 54, 41), mark=_broken_line, tint=_DARK, alone=_slash, rim=_DARK),
    State.NO_KEY: Look(_tile, _PURPLE, _BLACK, None, alone=_key),
    State.PAUSED: Look(_disc, _SKY, _BLACK, None, alone=_bars),
}
