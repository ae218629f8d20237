"""claude-code-router, asked in Anthropic's style, which is what it is for."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.candidates.base import KEY, MODELS, Place, Service
from tests.bench.processes import free_port, start


class Ccr:
    """Node; one process, one provider, no log."""

    name = "claude-code-router"

    def missing(self, prefix: Path) -> str | None:
        """Looked for below the prefix."""
        return None if _script(prefix).exists() else f"npm install --prefix {prefix}/ccr @musistudio/claude-code-router"

    def start(self, place: Place) -> Service:
        """Its configuration is in a home of its own."""
        port = free_port()
        home = place.folder / "home"
        (home / ".claude-code-router").mkdir(parents=True, exist_ok=True)
        provider = {
            "name": "fake",
            "api_base_url": f"{place.upstream_url}/chat/completions",
            "api_key": KEY,
            "models": list(MODELS),
            "transformer": {"use": ["openrouter"]},
        }
        configuration = {
            "HOST": "127.0.0.1",
            "PORT": port,
            "APIKEY": "bench",
            "LOG": False,
            "Providers": [provider],
            "Router": {"default": f"fake,{MODELS[0]}"},
        }
        (home / ".claude-code-router/config.json").write_text(json.dumps(configuration))
        program = start(["node", _script(place.prefix), "start"], place.folder, {"HOME": str(home)})
        return Service(
            port,
            "/v1/messages",
            ("x-api-key: bench", "anthropic-version: 2023-06-01"),
            program,
            named=lambda model: f"fake,{model}",
            anthropic=True,
            health="/health",
        )

    def installed(self, prefix: Path) -> Path | None:
        """Its own node_modules."""
        return prefix / "ccr/node_modules"


def _script(prefix: Path) -> Path:
    return prefix / "ccr/node_modules/@musistudio/claude-code-router/dist/cli.js"
