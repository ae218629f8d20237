"""Open WebUI: variables of its first start (docs.openwebui.com, Environment Variable Configuration)."""

from __future__ import annotations

from app.cli.clients.client import Client, Launch, Setup, Target, exports


def _setup(target: Target) -> Setup:
    environment = {"OPENAI_API_BASE_URL": target.openai, "OPENAI_API_KEY": target.token}
    return Setup(
        (exports(environment),),
        Launch(environment),
        notes=("Once started, Open WebUI keeps these in its own database: Admin Settings, Connections, OpenAI.",),
    )


CLIENT = Client(
    name="open-webui",
    title="Open WebUI",
    model="openai/gpt-4o-mini",
    setup=_setup,
    program="open-webui",
    install="pip install open-webui",
)
