"""What must be right in a chat request before money is spent on it; the rest is OpenRouter's to judge."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import BadRequest, Json


@dataclass(frozen=True)
class ChatWish:
    """What the gateway itself needs to know of a chat request."""

    model: str
    """Empty when only `models` names any."""
    fallbacks: tuple[str, ...]
    stream: bool


def read(body: dict[str, Json]) -> ChatWish:
    """The wish in this body; raises BadRequest naming the field that is wrong."""
    _messages(body)
    return ChatWish(_model(body), _fallbacks(body), _stream(body))


def _model(body: dict[str, Json]) -> str:
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


def _fallbacks(body: dict[str, Json]) -> tuple[str, ...]:
    models = body.get("models")
    if models is None:
        return ()
    if not isinstance(models, list) or not all(isinstance(model, str) and model.strip() for model in models):
        raise BadRequest("models must be a list of model ids.", param="models")
    return tuple(models)


def _stream(body: dict[str, Json]) -> bool:
    stream = body.get("stream")
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    raise BadRequest("stream must be true or false.", param="stream")


def _messages(body: dict[str, Json]) -> None:
    messages = body.get("messages")
    if messages is None and isinstance(body.get("prompt"), str):
        return
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list of at least one message.", param="messages")
    for position, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest("Each message must be an object with role and content.", param=f"messages[{position}]")
        if not isinstance(message.get("role"), str):
            raise BadRequest("Each message needs a role, such as user.", param=f"messages[{position}].role")
