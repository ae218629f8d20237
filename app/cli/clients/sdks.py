"""The variables that the official SDKs of OpenAI and Anthropic, and whatever is built on them, read by themselves."""

from __future__ import annotations

from app.cli.clients.client import Target


def environment(target: Target) -> dict[str, str]:
    """Address and token for both."""
    return {
        "OPENAI_BASE_URL": target.openai,
        # The older name, which LiteLLM and LangChain still read.
        "OPENAI_API_BASE": target.openai,
        "OPENAI_API_KEY": target.token,
        "ANTHROPIC_BASE_URL": target.base_url,
        "ANTHROPIC_AUTH_TOKEN": target.token,
    }


OTHER_KEYS = ("ANTHROPIC_API_KEY",)
"""Would be sent beside the token."""
