"""LibreChat: a custom endpoint (librechat.ai/docs/configuration/librechat_yaml/ai_endpoints/openrouter)."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.cli.clients.client import Client, Piece, Setup, Target

_TOKEN = "LIBRECHAT_GATEWAY_TOKEN"


def _setup(target: Target) -> Setup:
    endpoint = f"""\
endpoints:
  custom:
    - name: "orgate"
      apiKey: "${{{_TOKEN}}}"
      baseURL: "{target.openrouter}"
      models:
        default: ["{target.model}"]
        fetch: true
      titleConvo: true
      titleModel: "{target.model}"
      modelDisplayLabel: "orgate\""""
    port = urlsplit(target.base_url).port
    return Setup(
        (Piece("librechat.yaml", endpoint), Piece("LibreChat's .env", f"{_TOKEN}={target.token}")),
        notes=(
            f"In a container the address is http://host.docker.internal:{port}/api/v1; start the gateway with "
            "ORGATE_ALLOWED_HOSTS=host.docker.internal, where the container can reach it.",
        ),
    )


CLIENT = Client(name="librechat", title="LibreChat", model="openai/gpt-4o-mini", setup=_setup)
