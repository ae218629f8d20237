"""llm: an entry in extra-openai-models.yaml and a key by name (llm.datasette.io, OpenAI-compatible models)."""

from __future__ import annotations

from app.cli.clients.client import Client, Piece, Setup, Target


def _setup(target: Target) -> Setup:
    entry = f"""\
- model_id: orgate/{target.model}
  model_name: {target.model}
  api_base: {target.openai}
  api_key_name: orgate
  supports_tools: true
  supports_schema: true
  vision: true"""
    return Setup(
        (
            Piece('extra-openai-models.yaml in the folder of "$(llm logs path)"', entry),
            Piece("When `llm keys set orgate` asks for it", target.token),
        ),
        notes=(f"Then: llm -m orgate/{target.model} 'Hello'",),
    )


CLIENT = Client(name="llm", title="llm", model="openai/gpt-4o-mini", setup=_setup)
