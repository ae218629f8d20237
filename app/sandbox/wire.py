"""JSON as it goes over the wire: compact, unescaped, and money without floats."""

from __future__ import annotations

import json
import re
import uuid
from decimal import Decimal
from typing import Any

# Any: JSON holds whatever the sender put there.
Json = dict[str, Any]

NANO = 1_000_000_000

_MARK = uuid.uuid4().hex
_MARKED = re.compile(f'"{_MARK}:([^"]*)"')


def _mark(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}:{plain(value)}"
    raise TypeError(f"not JSON: {type(value).__name__}")


def dumps(value: object) -> bytes:
    """UTF-8 JSON in which every Decimal is an exact number such as 0.000081."""
    text = json.dumps(value, default=_mark, ensure_ascii=False, separators=(",", ":"))
    if _MARK in text:
        text = _MARKED.sub(r"\1", text)
    return text.encode("utf-8", errors="replace")


def loads(data: bytes) -> Any:
    """The value of a JSON text, its fractions as Decimal."""
    return json.loads(data, parse_float=Decimal)


def plain(value: Decimal) -> str:
    """Decimal digits without exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(nano: int) -> Decimal:
    """Dollars for a number of nano-dollars, exactly."""
    return Decimal(plain(Decimal(nano).scaleb(-9)))


def nano(value: object) -> int:
    """Nano-dollars for dollars given as a decimal string or a JSON number, rounded to the nearest."""
    return int((Decimal(str(value)) * NANO).to_integral_value())
