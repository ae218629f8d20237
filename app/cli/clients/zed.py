"""Zed: its own OpenRouter provider with another address (zed.dev/docs/ai/use-api-access)."""

from __future__ import annotations

import json

from app.cli.clients.client import Client, Piece, Setup, Target


def _setup(target: Target) -> Setup:
    settings = {
        "language_models": {"open_router": {"api_url": target.openrouter}},
        "agent": {"default_model": {"provider": "openrouter", "model": target.model}},
    }
    return Setup(
        (
            Piece("In Zed's settings.json, merged into what is there", json.dumps(settings, indent=2)),
            Piece("Command palette, agent: open settings, LLM Providers, OpenRouter, API key", target.token),
        ),
        notes=("Zed keeps the token in the system's keychain. A variable OPENROUTER_API_KEY would win over it.",),
    )


CLIENT = Client(name="zed", title="Zed", model="anthropic/claude-sonnet-4.5", setup=_setup)
