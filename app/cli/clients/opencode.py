"""opencode: its own OpenRouter provider with another address (opencode.ai/docs/providers, /docs/config)."""

from __future__ import annotations

import json

from app.cli.clients.client import PATIENT, Client, Launch, Piece, Setup, Target, exports

_TOKEN = "OPENCODE_GATEWAY_TOKEN"


def _setup(target: Target) -> Setup:
    written = json.dumps(_config(target, f"{{env:{_TOKEN}}}"), indent=2)
    # What is given inline is not searched for {env:…} by every version.
    inline = json.dumps(_config(target, target.token))
    return Setup(
        (Piece("~/.config/opencode/opencode.json", written), exports({_TOKEN: target.token})),
        Launch({"OPENCODE_CONFIG_CONTENT": inline}),
    )


def _config(target: Target, key: str) -> dict[str, object]:
    provider = {"options": {"baseURL": target.openrouter, "apiKey": key}, "models": {target.model: {}}}
    model = f"openrouter/{target.model}"
    return {
        "$schema": "https://opencode.ai/config.json",
        "model": model,
        # For titles; else it chooses one by itself, which nobody asked for.
        "small_model": model,
        "provider": {"openrouter": provider},
    }


CLIENT = Client(
    name="opencode",
    title="opencode",
    model="anthropic/claude-sonnet-4.5",
    setup=_setup,
    program="opencode",
    install="npm install -g opencode-ai",
    wishes=PATIENT,
)
