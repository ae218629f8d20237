"""JSON without the ambiguities that let two readers see two different requests (RFC 8259, RFC 7493)."""

from __future__ import annotations

import codecs
import json
import math
import re

from app.core.errors import BadRequest, Json

_MAX_DEPTH = 64
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DOUBLE_DIGITS = 308
"""Every whole number of so many digits is in the range of a double."""


def loads(data: bytes) -> dict[str, Json]:
    """
    The JSON object in these bytes; raises BadRequest.

    UTF-8 without a byte order mark, no more than 64 levels deep, no name twice in an object, no NaN, no number beyond
    the range of a double, no half of a surrogate pair.
    """
    if data.startswith(codecs.BOM_UTF8):
        raise _invalid("The body begins with a byte order mark (BOM). Leave it out.")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if b"\\u" in data and _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise _invalid("The body is not UTF-8.") from None
    except RecursionError:
        raise _invalid(f"The body is nested more than {_MAX_DEPTH} levels deep.") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    except ValueError as error:
        raise _invalid(f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise _invalid("The body must be a JSON object.")
    # Fewer brackets than levels cannot be too deep; counting them is far cheaper than walking the value.
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH and _is_deeper(value, _MAX_DEPTH):
        raise _invalid(f"The body is nested more than {_MAX_DEPTH} levels deep.")
    return value


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_json")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _DOUBLE_DIGITS:
        _finite(text)
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
)


def _is_deeper(value: Json, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer)]
        layer = [inner for inner in layer if isinstance(inner, (dict, list))]
        if not layer:
            return False
    return True
