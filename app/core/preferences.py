"""The caller's `provider` preferences, checked and in OpenRouter's spelling."""

from __future__ import annotations

from collections.abc import Callable

from app.core.errors import BadRequest, Json


def _list_of_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _flag(value: Json) -> bool:
    return isinstance(value, bool)


def _object(value: Json) -> bool:
    return isinstance(value, dict)


def _object_or_number(value: Json) -> bool:
    return isinstance(value, (dict, int, float)) and not isinstance(value, bool)


def _text_or_object(value: Json) -> bool:
    return isinstance(value, (str, dict))


_KNOWN: dict[str, tuple[Callable[[Json], bool], str]] = {
    "order": (_list_of_texts, "a list of providers"),
    "only": (_list_of_texts, "a list of providers"),
    "ignore": (_list_of_texts, "a list of providers"),
    "allow_fallbacks": (_flag, "true or false"),
    "require_parameters": (_flag, "true or false"),
    "data_collection": (lambda value: value in ("allow", "deny"), '"allow" or "deny"'),
    "zdr": (_flag, "true or false"),
    "enforce_distillable_text": (_flag, "true or false"),
    "quantization": (_list_of_texts, "a list such as fp16, int8"),
    "quantizations": (_list_of_texts, "a list such as fp16, int8"),
    "sort": (_text_or_object, '"price", "throughput", "latency" or an object'),
    "preferred_min_throughput": (_object_or_number, "a number or an object"),
    "preferred_max_latency": (_object_or_number, "a number or an object"),
    "max_price": (_object, "an object such as prompt and completion in $ per million tokens"),
}
"""OpenRouter's own list (docs, Provider Routing), which refuses any other, and the document's older `quantization`."""

NAMES = tuple(_KNOWN)


def translate(preferences: Json) -> dict[str, Json] | None:
    """
    The preferences as OpenRouter takes them, or None when nothing had to change; raises BadRequest.

    null stands for "no wish" and passes everywhere.
    """
    if preferences is None:
        return None
    if not isinstance(preferences, dict):
        raise BadRequest("provider must be an object of preferences.", param="provider")
    for name, value in preferences.items():
        if name not in _KNOWN:
            raise BadRequest(f"There is no provider preference {name[:40]!r}.", param=f"provider.{name[:40]}")
        holds, expected = _KNOWN[name]
        if value is not None and not holds(value):
            raise BadRequest(f"provider.{name} takes {expected}.", param=f"provider.{name}")
    if "quantization" not in preferences:
        return None
    old, new = preferences["quantization"], preferences.get("quantizations")
    if old is not None and new is not None:
        raise BadRequest("provider has both quantization and quantizations; keep one.", param="provider.quantization")
    others = {name: value for name, value in preferences.items() if name not in ("quantization", "quantizations")}
    return {**others, "quantizations": new if old is None else old}
