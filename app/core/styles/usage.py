"""The usage object of an answer, in the words of each family of styles."""

from __future__ import annotations

from app.core.errors import Json
from app.core.meter import Usage, count
from app.core.money import nanos


def usage_of(usage: dict[str, Json]) -> Usage:
    """
    The usage of a chat, a completion or an embedding, its figures checked.

    Counts are in 0…10⁹, a cost is no less than 0; anything else is not known.
    """
    return _counted(usage, "prompt_tokens", "completion_tokens")


def of_response(usage: dict[str, Json]) -> Usage:
    """The same for OpenAI's Responses."""
    return _counted(usage, "input_tokens", "output_tokens")


def of_message(usage: dict[str, Json]) -> Usage:
    """The same for Anthropic's Messages, whose input_tokens leave out what was read from or written to the cache."""
    read = count(usage.get("cache_read_input_tokens"))
    fresh, written = count(usage.get("input_tokens")), count(usage.get("cache_creation_input_tokens"))
    prompt = None if fresh is None else fresh + (read or 0) + (written or 0)
    answer = count(usage.get("output_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=None if prompt is None or answer is None else prompt + answer,
        cached_tokens=read,
        reasoning_tokens=count(_inner(usage, "output_tokens_details", "thinking_tokens")),
        cost=_cost(usage),
        is_byok=_byok(usage),
    )


def _counted(usage: dict[str, Json], asked: str, answered: str) -> Usage:
    """OpenAI's usage, whose styles differ in what they call the two sides."""
    return Usage(
        prompt_tokens=count(usage.get(asked)),
        completion_tokens=count(usage.get(answered)),
        total_tokens=count(usage.get("total_tokens")),
        cached_tokens=count(_inner(usage, f"{asked}_details", "cached_tokens")),
        reasoning_tokens=count(_inner(usage, f"{answered}_details", "reasoning_tokens")),
        cost=_cost(usage),
        is_byok=_byok(usage),
    )


def _cost(usage: dict[str, Json]) -> int | None:
    cost = nanos(usage.get("cost"))
    return cost if cost is not None and cost >= 0 else None


def _byok(usage: dict[str, Json]) -> bool | None:
    byok = usage.get("is_byok")
    return byok if isinstance(byok, bool) else None


def _inner(usage: dict[str, Json], outer: str, inner: str) -> Json:
    details = usage.get(outer)
    return details.get(inner) if isinstance(details, dict) else None
