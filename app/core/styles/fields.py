"""The fields of a request that every API style has."""

from __future__ import annotations

from app.core import forms, preferences
from app.core.errors import BadRequest, Json
from app.core.forms import Field

MODEL = Field("model", forms.MODEL, "The model, or an agent of the gateway as agent/NAME.")
MODELS = Field("models", forms.MODELS, "Models that are asked one after the other, behind `model`; ten at most.")
STREAM = Field("stream", forms.FLAG, "Whether the answer comes as server-sent events.")
PROVIDER = Field(preferences.FIELD, preferences.KIND, "OpenRouter's preferences for the providers of a model.")

NEEDS_MODEL: dict[str, Json] = {
    "anyOf": [
        {"required": ["model"], "properties": {"model": forms.MODEL.schema}},
        {"required": ["models"], "properties": {"models": {"type": "array", "minItems": 1}}},
    ]
}
"""What `model_of` asks of a body."""


def model_of(body: dict[str, Json]) -> str:
    """The model; "" when only `models` names any. Raises BadRequest."""
    model = MODEL.of(body)
    if model is None and not body.get("models"):
        raise BadRequest(
            'model is missing. Name one, for example "openrouter/auto"; orgate models lists them.', param="model"
        )
    return model or ""


def list_of_models(body: dict[str, Json]) -> tuple[str, ...]:
    """The models in `models`; raises BadRequest."""
    return tuple(MODELS.of(body) or ())


def positive(value: Json) -> int | None:
    """The value as a whole number above 0; None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
