"""The fields of a request that every API style has."""

from __future__ import annotations

from app.core.errors import BadRequest, Json


def model_of(body: dict[str, Json]) -> str:
    """The model; "" when only `models` names any. Raises BadRequest."""
    model = body.get("model")
    if isinstance(model, str) and model.strip():
        return model
    if model is None and body.get("models"):
        return ""
    if model is None:
        raise BadRequest(
            'model is missing. Name one, for example "openrouter/auto"; orgate models lists them.', param="model"
        )
    raise BadRequest("model must be the id of a model, a text.", param="model")


def list_of_models(body: dict[str, Json]) -> tuple[str, ...]:
    """The models in `models`; raises BadRequest."""
    models = body.get("models")
    if models is None:
        return ()
    if not isinstance(models, list) or not all(isinstance(model, str) and model.strip() for model in models):
        raise BadRequest("models must be a list of model ids.", param="models")
    return tuple(models)


def flag_of(body: dict[str, Json], name: str) -> bool:
    """The flag in this field, false when it is absent or null; raises BadRequest."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise BadRequest(f"{name} must be true or false.", param=name)


def positive(value: Json) -> int | None:
    """The value as a whole number above 0; None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
