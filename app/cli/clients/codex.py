"""Codex: a provider of its own in config.toml, or the same by -c (developers.openai.com/codex, Configuration)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.cli.clients.client import PATIENT, Client, Launch, Piece, Setup, Target, exports

_ID = "orgate"
_TOKEN = "CODEX_GATEWAY_TOKEN"


def _setup(target: Target) -> Setup:
    top = {"model": target.model, "model_provider": _ID}
    provider: dict[str, str | int] = {
        "name": "orgate",
        "base_url": target.openai,
        "env_key": _TOKEN,
        "wire_api": "responses",
        # The gateway repeats what may be; Codex would repeat refusals too, and cut answers at full price.
        "request_max_retries": 1,
        "stream_max_retries": 1,
    }
    table = [*_lines(top), "", f"[model_providers.{_ID}]", *_lines(provider)]
    flags = [*_lines(top), *(f"model_providers.{_ID}.{line}" for line in _lines(provider))]
    environment = {_TOKEN: target.token}
    return Setup(
        (Piece("~/.codex/config.toml", "\n".join(table)), exports(environment)),
        Launch(environment, arguments=tuple(part for line in flags for part in ("-c", line))),
        notes=("The first two lines belong above every [table] of the file.",),
    )


def _lines(values: Mapping[str, str] | Mapping[str, str | int]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


CLIENT = Client(
    name="codex",
    title="Codex",
    model="~openai/gpt-latest",
    setup=_setup,
    program="codex",
    install="npm install -g @openai/codex",
    wishes=PATIENT,
)
