"""Writes TOML 1.0 that tomllib, and people, can read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from app.core.errors import Json

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(table: Mapping[str, Json]) -> str:
    """The table, one member a line, texts of several lines as such; raises ValueError like `value_of`."""
    return "".join(f"{_key(name)} = {_paragraphs(value) or value_of(value)}\n" for name, value in table.items())


def value_of(value: Json) -> str:
    """A value in one line; raises ValueError for null and for numbers that are none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_of, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(name)} = {value_of(inner)}' for name, inner in value.items())} }}"
    raise ValueError(f"TOML has no {type(value).__name__}")


def _paragraphs(value: Json) -> str | None:
    """A multi-line basic string; None for what has no lines."""
    if not isinstance(value, str) or "\n" not in value:
        return None
    lines = "\n".join(_text(line)[1:-1] for line in value.split("\n"))
    return f'"""\n{lines}"""'


def _text(value: str) -> str:
    """A basic string; JSON's escapes are TOML's, but for one character that JSON does not escape."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)
