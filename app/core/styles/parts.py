"""What prompts hold beside text: images, files, sounds; in the words of every API style."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.errors import Json
from app.core.frozen import frozen

_DEEPEST = 8
_SOURCES = {
    "image_url": ("url",),
    "video_url": ("url",),
    "file": ("file_data", "file_id"),
    "input_audio": ("data",),
    "image": ("data", "url", "file_id"),
    "document": ("data", "url", "file_id"),
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_data", "file_url", "file_id"),
}
"""The parts that carry something else than text, and the members that hold it, its address or its id."""

_IMAGES = ("image_url", "image", "input_image")


@frozen
class Attached:
    """How much of a prompt is no text."""

    count: int = 0
    images: int = 0
    inline: int = 0
    """Bytes of those in the body."""


def attached(messages: Json) -> Attached:
    """What the messages hold beside text, also inside the results of tools."""
    count = images = inline = 0
    for kind, source in _sources(messages, 0):
        count += 1
        images += kind in _IMAGES
        inline += len(source)
    return Attached(count, images, inline)


def _sources(value: Json, depth: int) -> Iterator[tuple[str, str]]:
    """Each such part: its kind, and what stands in the body in place of text."""
    if depth > _DEEPEST:
        return
    for part in value if isinstance(value, list) else ():
        if not isinstance(part, dict):
            continue
        kind = part.get("type")
        found = _source(part, kind) if isinstance(kind, str) and kind in _SOURCES else None
        if found is not None:
            yield str(kind), found
            continue
        for inner in ("content", "output"):
            yield from _sources(part.get(inner), depth + 1)


def _source(part: dict[str, Json], kind: str) -> str | None:
    """The bytes of an attachment as text, "" for one that stands elsewhere; None when there is none."""
    held = part.get("source") if kind in ("image", "document") else part.get(kind, part)
    if isinstance(held, str):
        held = {_SOURCES[kind][0]: held}
    elif isinstance(held, dict) and held.get("type") == "text":
        # A document that is plain text counts as the text that it is.
        return None
    for name in _SOURCES[kind]:
        source = held.get(name) if isinstance(held, dict) else None
        if isinstance(source, str) and source:
            is_inline = name == "data" or source.startswith("data:")
            return source if is_inline else ""
    return None
