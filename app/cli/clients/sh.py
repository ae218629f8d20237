"""Any program that takes address and token from the environment."""

from __future__ import annotations

from app.cli.clients import sdks
from app.cli.clients.client import Client, Launch, Setup, Target, exports


def _setup(target: Target) -> Setup:
    environment = sdks.environment(target)
    return Setup((exports(environment),), Launch(environment, without=sdks.OTHER_KEYS))


CLIENT = Client(
    name="sh",
    title="Anything that reads OPENAI_BASE_URL or ANTHROPIC_BASE_URL",
    model="openai/gpt-4o-mini",
    setup=_setup,
    program="sh",
    install="a POSIX shell",
)
