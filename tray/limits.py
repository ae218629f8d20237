"""Texts cut to what Windows takes; it raises an error for one character more."""

from __future__ import annotations

TOOLTIP, TITLE, MESSAGE = 127, 63, 255
"""Most units of UTF-16 in an icon's tooltip, and in the title and text of a message from it."""


def cut(text: str, most: int) -> str:
    """The text, or as much of its beginning as fits with an ellipsis, counted in units of UTF-16."""
    if _units(text) <= most:
        return text
    room, kept = most - 1, 0
    for character in text:
        room -= _units(character)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
