"""Models and prices: OpenRouter's own list of August 2026, with the sandbox's faults added."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from app.sandbox import wire
from app.sandbox.pricing import Price, price_at
from app.sandbox.wire import Json

DEFAULT_MODEL = "openai/gpt-4o-mini"
ROUTED = ("openai/gpt-4o-mini", "anthropic/claude-haiku-4.5", "google/gemini-2.5-flash", "mistralai/mistral-nemo")
VARIANTS = (":nitro", ":floor", ":online", ":exacto", ":extended", ":thinking")

_PROVIDERS = {
    "anthropic": "Amazon Bedrock",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "google": "Google AI Studio",
    "meta-llama": "DeepInfra",
    "minimax": "Minimax",
    "mistralai": "Mistral",
    "moonshotai": "Moonshot AI",
    "openai": "OpenAI",
    "qwen": "Alibaba",
    "sandbox": "Sandbox",
    "x-ai": "xAI",
    "z-ai": "Z.AI",
}


@dataclass(frozen=True)
class Model:
    """One model as asked for: `id` is the asker's word, `entry` the catalogue's object."""

    id: str
    entry: Json

    @property
    def wire_name(self) -> str:
        """What an answer calls the model: the canonical slug, which often differs from the id asked for."""
        slug: str = self.entry["canonical_slug"]
        return f"{slug}:free" if self.entry["id"].endswith(":free") and not slug.endswith(":free") else slug

    @property
    def author(self) -> str:
        """The part of the id before the slash."""
        name: str = self.entry["id"]
        return name.lstrip("~").partition("/")[0]

    @property
    def provider(self) -> str:
        """The display name of whoever serves it."""
        return _PROVIDERS.get(self.author, self.author.replace("-", " ").title())

    @property
    def provider_slug(self) -> str:
        """The provider's name as `provider.only` spells it."""
        return self.provider.lower().replace(" ", "-").replace(".", "-")

    @property
    def context_length(self) -> int:
        """The most tokens prompt and answer may have together."""
        return int(self.entry["context_length"])

    @property
    def max_output(self) -> int:
        """The most tokens an answer may have."""
        return int(self.entry["top_provider"].get("max_completion_tokens") or self.context_length)

    def price(self, prompt_tokens: int, at: datetime) -> Price:
        """What a token costs for a prompt of this size at this moment."""
        return price_at(self.entry["pricing"], prompt_tokens, at)


@cache
def published(name: str = "models.json") -> tuple[Json, ...]:
    """OpenRouter's text models as listed on 2026-08-21, without benchmarks; or what another file has."""
    text = files("app.sandbox").joinpath("data", name).read_bytes()
    return tuple(wire.loads(text))


class Catalogue:
    """The models on offer, and what each way of naming one leads to."""

    def __init__(self, entries: tuple[Json, ...]) -> None:
        self.entries = entries
        self._by_id: dict[str, Json] = {}
        for entry in reversed(entries):
            self._by_id[entry["canonical_slug"]] = entry
        self._by_id.update((entry["id"], entry) for entry in entries)
        self._free = sorted(name for name in self._by_id if name.endswith(":free"))

    def find(self, name: str) -> Model | None:
        """The listed model of exactly this id, canonical slug or variant."""
        entry = self._by_id.get(name)
        if entry is None and name.endswith(VARIANTS):
            entry = self._by_id.get(name.rpartition(":")[0])
        return Model(name, entry) if entry else None

    def resolve(self, name: str | None, seed: str = "") -> Model | None:
        """The real model that answers: routers choose by `seed`, aliases and presets are followed; None if unknown."""
        name = (name or "").partition("@preset/")[0] or DEFAULT_MODEL
        found = self.find(name)
        if found is None:
            return None
        if "alias_target" in found.entry:
            return self.find(found.entry["alias_target"]["slug"]) or found
        choice = self._choices(found)
        if not choice:
            return found
        return self.find(choice[zlib.crc32(seed.encode(errors="replace")) % len(choice)])

    def _choices(self, router: Model) -> list[str]:
        if router.entry["id"] == "openrouter/free":
            return self._free
        if router.entry["pricing"]["prompt"] == "-1":
            return [name for name in ROUTED if name in self._by_id]
        return []

    def page(self, offset: int, limit: int | None, query: str) -> Json:
        """The envelope of `GET /models`."""
        rows: list[Any] = [row for row in self.entries if query in f"{row['id']} {row['name']}".lower()]
        chosen = rows[offset:] if limit is None else rows[offset : offset + limit]
        more = limit is not None and offset + limit < len(rows)
        following = f"/api/v1/models?offset={offset + (limit or 0)}&limit={limit}" if more else None
        return {"data": chosen, "total_count": len(rows), "links": {"next": following}}
