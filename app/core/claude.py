"""The short ids that Claude's own programs send ("claude-sonnet-4-5-20250929"), and the catalogue's ids for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_AUTHOR = "anthropic/"
_DATE = re.compile(r"20\d{6}")

Key = tuple[frozenset[str], tuple[int, ...]]
"""What a short id and a catalogue's id have in common: the words of the family, and the version."""


def is_short(model: str) -> bool:
    """Whether it is such an id: without its author."""
    return model.startswith("claude-") and "/" not in model


def by_key(ids: Iterable[str]) -> dict[Key, str]:
    """The catalogue's models of Anthropic by what short ids can say of them; variants are never meant."""
    found: dict[Key, str] = {}
    for name in ids:
        plain = name.removeprefix("~")
        if plain.startswith(_AUTHOR + "claude-") and ":" not in plain:
            found.setdefault(key_of(plain.removeprefix(_AUTHOR)), name)
    return found


def key_of(model: str) -> Key:
    """
    Words and version of an id, whichever of them comes first.

    Anthropic writes claude-3-5-haiku-20241022 and claude-sonnet-4-5, OpenRouter claude-3.5-haiku and claude-sonnet-4.5;
    the date and a version's ".0" tell nothing more.
    """
    words, version = set(), []
    for part in re.split(r"[-.@]", model.partition("[")[0]):
        if part.isascii() and part.isdigit():
            version += [] if _DATE.fullmatch(part) else [int(part)]
        elif part and part != "latest":
            words.add(part)
    while version and version[-1] == 0:
        version.pop()
    return frozenset(words), tuple(version)
