"""The caller's `provider` preferences, checked and in OpenRouter's spelling."""

from __future__ import annotations

from dataclasses import replace

from app.core import forms
from app.core.errors import BadRequest, Json
from app.core.forms import Kind

FIELD = "provider"

_PROVIDERS = replace(forms.TEXTS, words="a list of providers")
_FORMATS = replace(forms.TEXTS, words="a list such as fp16, int8")
_WHETHER = forms.FLAG
_FIGURE = Kind(
    "a number or an object",
    {"type": ["number", "object"]},
    lambda value: isinstance(value, (dict, int, float)) and not isinstance(value, bool),
)
_KNOWN = {
    "order": _PROVIDERS,
    "only": _PROVIDERS,
    "ignore": _PROVIDERS,
    "allow_fallbacks": _WHETHER,
    "require_parameters": _WHETHER,
    "data_collection": replace(forms.words("allow", "deny"), words='"allow" or "deny"'),
    "zdr": _WHETHER,
    "enforce_distillable_text": _WHETHER,
    "quantization": _FORMATS,
    "quantizations": _FORMATS,
    "sort": Kind(
        '"price", "throughput", "latency" or an object',
        {"type": ["string", "object"]},
        lambda value: isinstance(value, (str, dict)),
    ),
    "preferred_min_throughput": _FIGURE,
    "preferred_max_latency": _FIGURE,
    "max_price": replace(forms.OBJECT, words="an object such as prompt and completion in $ per million tokens"),
}
"""OpenRouter's own list (docs, Provider Routing), which refuses any other, and the document's older `quantization`."""

NAMES = tuple(_KNOWN)

KIND = Kind(
    "an object of preferences",
    {
        "type": "object",
        "properties": {name: forms.nullable(kind.schema) for name, kind in _KNOWN.items()},
        "additionalProperties": False,
        "not": {
            "required": ["quantization", "quantizations"],
            "properties": {"quantization": {"type": "array"}, "quantizations": {"type": "array"}},
        },
    },
    forms.OBJECT.holds,
)
"""What `translate` takes."""


def translate(preferences: Json) -> dict[str, Json] | None:
    """
    The preferences as OpenRouter takes them, or None when nothing had to change; raises BadRequest.

    null stands for "no wish" and passes everywhere.
    """
    if preferences is None:
        return None
    if not KIND.holds(preferences):
        raise BadRequest(f"{FIELD} must be {KIND.words}.", param=FIELD)
    for name, value in preferences.items():
        if name not in _KNOWN:
            raise BadRequest(f"There is no provider preference {name[:40]!r}.", param=f"provider.{name[:40]}")
        kind = _KNOWN[name]
        if value is not None and not kind.holds(value):
            raise BadRequest(f"provider.{name} takes {kind.words}.", param=f"provider.{name}")
    if "quantization" not in preferences:
        return None
    old, new = preferences["quantization"], preferences.get("quantizations")
    if old is not None and new is not None:
        raise BadRequest("provider has both quantization and quantizations; keep one.", param="provider.quantization")
    others = {name: value for name, value in preferences.items() if name not in ("quantization", "quantizations")}
    return {**others, "quantizations": new if old is None else old}
