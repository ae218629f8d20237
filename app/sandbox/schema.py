"""The smallest instance of a JSON schema."""

from __future__ import annotations

import math
import re
from typing import Any

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_CANDIDATES = ("text", "a", "A", "1", "0000", "AB12", "a-b", "2026-01-01", "someone@example.com", "#000000", "1.0.0")
_MAX_DEPTH = 24


def instance(schema: Any) -> Any:
    """A small value the schema accepts: `$ref`, enum, const, combinations, formats and bounds are honoured."""
    return _build(schema, schema, 0)


def _build(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _build(_merged(_follow(schema["$ref"], root), schema), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _build(_merged(_simplest(schema[key]), schema, drop=key), root, depth + 1)
    if schema.get("allOf"):
        whole: Any = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            whole = _merged(_follow(part["$ref"], root) if "$ref" in part else part, whole)
        return _build(whole, root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: dict[str, Any], root: Any, depth: int) -> Any:
    match _type_of(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            items = [_build(each, root, depth + 1) for each in schema.get("prefixItems", ())]
            wanted = max(len(items), schema.get("minItems", 0))
            return items + [_build(schema.get("items", {}), root, depth + 1) for _ in range(wanted - len(items))]
        case "string":
            return _string(schema)
        case "integer":
            return int(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return True
        case _:
            return None


def _object(schema: dict[str, Any], root: Any, depth: int) -> dict[str, Any]:
    known = schema.get("properties", {})
    required = schema.get("required", list(known) if depth == 0 else [])
    built = {name: _build(known.get(name, {"type": "string"}), root, depth + 1) for name in required}
    for name in known:
        if len(built) >= schema.get("minProperties", 0):
            break
        if name not in built:
            built[name] = _build(known[name], root, depth + 1)
    return built


def _string(schema: dict[str, Any]) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    value = "text"
    pattern = schema.get("pattern")
    if pattern:
        value = next((each for each in _CANDIDATES if _matches(pattern, each)), value)
    value = value.ljust(schema.get("minLength", 0), "x")
    return value[: schema.get("maxLength", len(value))]


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


def _number(schema: dict[str, Any]) -> Any:
    whole = _type_of(schema) == "integer"
    step = schema.get("multipleOf") or 1
    low = schema.get("minimum")
    if isinstance(schema.get("exclusiveMinimum"), int | float):
        low = schema["exclusiveMinimum"] + (step if whole else step / 2)
    high = schema.get("maximum")
    if isinstance(schema.get("exclusiveMaximum"), int | float):
        high = schema["exclusiveMaximum"] - (step if whole else step / 2)
    if low is not None and high is not None and not whole and not schema.get("multipleOf"):
        return low if low == high else (low + high) / 2
    if low is not None:
        return math.ceil(low / step) * step
    if high is not None and high < 1:
        return math.floor(high / step) * step
    return step


def _type_of(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        if "properties" in schema or "required" in schema:
            return "object"
        return "array" if "items" in schema else "string"
    return str(kind)


def _simplest(options: list[Any]) -> Any:
    """The first option that is not null, a plain value before a reference so that recursion ends."""
    real = [each for each in options if isinstance(each, dict) and each.get("type") != "null"]
    return next((each for each in real if "$ref" not in each), real[0] if real else {"type": "null"})


def _merged(inner: Any, outer: Any, drop: str = "$ref") -> dict[str, Any]:
    merged = {key: value for key, value in outer.items() if key not in {drop, "description", "title"}}
    for key, value in (inner or {}).items():
        if key == "properties":
            merged[key] = {**merged.get(key, {}), **value}
        elif key == "required":
            merged[key] = list(dict.fromkeys([*merged.get(key, []), *value]))
        else:
            merged[key] = value
    return merged


def _follow(reference: str, root: Any) -> Any:
    target = root
    for step in reference.lstrip("#").strip("/").split("/"):
        if not step:
            continue
        target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
    return target if isinstance(target, dict) else {}
