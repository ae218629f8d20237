"""curl, with the token on its standard input: what stands in arguments is seen by every process of the machine."""

from __future__ import annotations

import json

from app.cli.clients.client import SHELL, Client, Piece, Setup, Target


def _setup(target: Target) -> Setup:
    body = json.dumps({"model": target.model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]})
    command = f"""\
curl -N -K - <<'END'
url = "{target.openai}/chat/completions"
header = "Authorization: Bearer {target.token}"
header = "Content-Type: application/json"
data = {json.dumps(body)}
END"""
    return Setup((Piece(SHELL, command),))


CLIENT = Client(name="curl", title="curl", model="openai/gpt-4o-mini", setup=_setup)
