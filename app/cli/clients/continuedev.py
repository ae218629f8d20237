"""Continue: an entry in config.yaml, the token beside it (docs.continue.dev, OpenRouter and Secrets)."""

from __future__ import annotations

from app.cli.clients.client import PATIENT, Client, Piece, Setup, Target

_TOKEN = "CONTINUE_GATEWAY_TOKEN"


def _setup(target: Target) -> Setup:
    config = f"""\
name: orgate
version: 0.0.1
schema: v1
models:
  - name: {target.model} (orgate)
    provider: openrouter
    model: {target.model}
    apiBase: {target.openrouter}
    apiKey: ${{{{ secrets.{_TOKEN} }}}}
    roles: [chat, edit, apply]
    capabilities: [tool_use]"""
    return Setup((Piece("~/.continue/config.yaml", config), Piece("~/.continue/.env", f"{_TOKEN}={target.token}")))


CLIENT = Client(name="continue", title="Continue", model="anthropic/claude-sonnet-4.5", setup=_setup, wishes=PATIENT)
