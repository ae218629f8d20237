"""aider: OpenRouter's variables, which LiteLLM below it reads (aider.chat/docs/llms/openrouter.html)."""

from __future__ import annotations

from app.cli.clients.client import PATIENT, Client, Launch, Setup, Target, exports


def _setup(target: Target) -> Setup:
    model = f"openrouter/{target.model}"
    environment = {
        "OPENROUTER_API_BASE": target.openrouter,
        "OPENROUTER_API_KEY": target.token,
        "AIDER_MODEL": model,
        # For commit messages and summaries; else aider chooses one by a name that OpenRouter does not know.
        "AIDER_WEAK_MODEL": model,
    }
    return Setup((exports(environment),), Launch(environment))


CLIENT = Client(
    name="aider",
    title="aider",
    model="anthropic/claude-sonnet-4.5",
    setup=_setup,
    program="aider",
    install="python -m pip install aider-chat",
    wishes=PATIENT,
)
