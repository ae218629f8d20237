"""LiteLLM's proxy, without a database."""

from __future__ import annotations

from pathlib import Path

from tests.bench.candidates.base import KEY, Place, Service
from tests.bench.processes import free_port, start

_CONFIGURATION = """
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "{url}", api_key: "{key}"}}
general_settings: {{master_key: "sk-bench"}}
litellm_settings: {{telemetry: false, turn_off_message_logging: true}}
"""


class LiteLlm:
    """Python; one worker."""

    name = "LiteLLM"

    def missing(self, prefix: Path) -> str | None:
        """Looked for below the prefix."""
        where = prefix / "litellm"
        made = f"python3 -m venv {where} && {where}/bin/pip install 'litellm[proxy]'"
        return None if (where / "bin/litellm").exists() else made

    def start(self, place: Place) -> Service:
        """Its price list is the one it brought along: it asks nobody for a newer one."""
        port = free_port()
        place.folder.mkdir(parents=True, exist_ok=True)
        configuration = place.folder / "config.yaml"
        configuration.write_text(_CONFIGURATION.format(url=place.upstream_url, key=KEY))
        command: list[str | Path] = [
            place.prefix / "litellm/bin/litellm",
            "--config",
            configuration,
            "--host",
            "127.0.0.1",
        ]
        command += ["--port", str(port), "--num_workers", "1"]
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HOME": str(place.folder)}
        program = start(command, place.folder, settings)
        return Service(
            port,
            "/v1/chat/completions",
            ("Authorization: Bearer sk-bench",),
            program,
            health="/health/liveliness",
        )

    def installed(self, prefix: Path) -> Path | None:
        """Its own environment."""
        return prefix / "litellm/lib"
