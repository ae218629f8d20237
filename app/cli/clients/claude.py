"""Claude Code: variables only (code.claude.com, LLM gateways)."""

from __future__ import annotations

from app.cli.clients.client import PATIENT, Client, Launch, Setup, Target, exports

_TIERS = ("FABLE", "OPUS", "SONNET", "HAIKU")


def _setup(target: Target) -> Setup:
    environment = {
        "ANTHROPIC_BASE_URL": target.base_url,
        "ANTHROPIC_AUTH_TOKEN": target.token,
        # Any key here would be asked for first, and go past the gateway.
        "ANTHROPIC_API_KEY": "",
        **_models(target.model),
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    }
    elsewhere = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
    return Setup((exports(environment),), Launch(environment, without=elsewhere))


def _models(model: str) -> dict[str, str]:
    """A model for each tier that Claude Code chooses by: OpenRouter's newest of it, or the one that was named."""
    if model:
        tiers = {f"ANTHROPIC_DEFAULT_{tier}_MODEL": model for tier in _TIERS}
        return {"ANTHROPIC_MODEL": model, **tiers, "CLAUDE_CODE_SUBAGENT_MODEL": model}
    return {f"ANTHROPIC_DEFAULT_{tier}_MODEL": f"~anthropic/claude-{tier.lower()}-latest" for tier in _TIERS}


CLIENT = Client(
    name="claude",
    title="Claude Code",
    model="",
    setup=_setup,
    program="claude",
    install="npm install -g @anthropic-ai/claude-code",
    wishes=PATIENT,
)
