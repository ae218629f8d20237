"""A chat request as OpenRouter would accept it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.sandbox import refusals, tokens
from app.sandbox.wire import Json, loads

MAX_MODELS = 3
_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
_PREFERENCES = {
    "order", "only", "ignore", "allow_fallbacks", "require_parameters", "data_collection", "zdr",
    "enforce_distillable_text", "quantizations", "sort", "preferred_min_throughput", "preferred_max_latency",
    "max_price", "experimental",
}  # fmt: skip


@dataclass(frozen=True)
class Override:
    """The `sandbox` field of a request: what this one answer shall be like."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    interval_s: float | None = None
    events: int | None = None
    text: str | None = None


@dataclass(frozen=True)
class Order:
    """What a valid request asks for."""

    fields: Json
    messages: list[Json]
    candidates: tuple[str | None, ...]
    stream: bool
    max_tokens: int | None
    provider: Json
    override: Override

    @property
    def prompt_tokens(self) -> int:
        """Tokens of messages and tools."""
        return tokens.count_prompt(self.messages, self.fields.get("tools"))

    @property
    def last_user_text(self) -> str:
        """The newest thing the user said, empty if nothing."""
        said = [tokens.text_of(each.get("content")) for each in self.messages if each["role"] == "user"]
        return said[-1] if said else ""

    @property
    def wants_reasoning(self) -> bool:
        """Whether the request asks the model to think."""
        asked = self.fields.get("reasoning")
        if isinstance(asked, dict):
            return asked.get("enabled", True) is not False and asked.get("effort") != "none"
        effort = self.fields.get("reasoning_effort")
        return self.fields.get("include_reasoning") is True or effort not in (None, "none")

    @property
    def shows_reasoning(self) -> bool:
        """Whether the thinking is part of the answer."""
        asked = self.fields.get("reasoning")
        return not (isinstance(asked, dict) and asked.get("exclude") is True)


def parse(body: bytes) -> Json:
    """The JSON object of a body; refused with 400 when it is none."""
    try:
        value = loads(body)
    except (ValueError, RecursionError) as exc:
        raise refusals.error(400, f"Invalid JSON in request body: {exc}") from exc
    if not isinstance(value, dict):
        raise refusals.error(400, "Request body must be a JSON object")
    return value


def read(fields: Json) -> Order:
    """The order in a request's fields; refused with 400 where OpenRouter would."""
    return Order(
        fields=fields,
        messages=_messages(fields),
        candidates=_candidates(fields),
        stream=_flag(fields, "stream"),
        max_tokens=_max_tokens(fields),
        provider=_provider(fields),
        override=_override(fields),
    )


def _messages(fields: Json) -> list[Json]:
    if "messages" not in fields and isinstance(fields.get("prompt"), str):
        return [{"role": "user", "content": fields["prompt"]}]
    found = fields.get("messages")
    if found is None:
        raise refusals.error(400, 'Input required: specify "prompt" or "messages"')
    if not isinstance(found, list) or not found:
        raise refusals.error(400, "Invalid input: messages must hold at least one message")
    for position, message in enumerate(found):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise refusals.error(400, f"Invalid input: messages.{position}.role")
    return found


def _candidates(fields: Json) -> tuple[str | None, ...]:
    model, more = fields.get("model"), fields.get("models") or []
    if not isinstance(more, list) or not all(isinstance(name, str) for name in more):
        raise refusals.error(400, "Invalid input: 'models' must be an array of strings")
    if len(more) > MAX_MODELS:
        raise refusals.error(400, f"'models' array must have {MAX_MODELS} items or fewer.")
    if model is not None and not isinstance(model, str):
        raise refusals.error(400, "Invalid input: 'model' must be a string")
    names = [model, *more] if model or not more else more
    return tuple(dict.fromkeys(names))


def _flag(fields: Json, name: str) -> bool:
    value = fields.get(name) or False
    if not isinstance(value, bool):
        raise refusals.error(400, f"Invalid input: '{name}' must be a boolean")
    return value


def _max_tokens(fields: Json) -> int | None:
    limits = [fields[name] for name in ("max_completion_tokens", "max_tokens") if fields.get(name) is not None]
    for limit in limits:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise refusals.error(400, "Invalid input: 'max_tokens' must be a whole number above 0")
    return min(limits) if limits else None


def _provider(fields: Json) -> Json:
    preferences = fields.get("provider") or {}
    if not isinstance(preferences, dict):
        raise refusals.error(400, "Invalid input: 'provider' must be an object")
    unknown = sorted(set(preferences) - _PREFERENCES)
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        raise refusals.error(400, f"provider: Unrecognized key(s) in object: {names}")
    return preferences


def _override(fields: Json) -> Override:
    given = fields.get("sandbox") or {}
    try:
        interval = given.get("interval_ms")
        return Override(
            status=int(given.get("status", 200)),
            body=given.get("body"),
            headers={str(name): str(value) for name, value in (given.get("headers") or {}).items()},
            delay_s=float(given.get("delay_ms", 0)) / 1000,
            interval_s=None if interval is None else float(interval) / 1000,
            events=None if given.get("events") is None else int(given["events"]),
            text=given.get("text"),
        )
    except (AttributeError, TypeError, ValueError) as exc:
        raise refusals.error(400, f"sandbox: {exc}") from exc
