"""Python programs with the SDKs of OpenAI or Anthropic, LangChain, pydantic-ai, instructor and the like."""

from __future__ import annotations

import os

from app.cli.clients import sdks
from app.cli.clients.client import Client, Launch, Piece, Setup, Target, exports


def _setup(target: Target) -> Setup:
    snippet = f"""\
from openai import OpenAI

client = OpenAI(base_url="{target.openai}", api_key="{target.token}")
chat = client.chat.completions.create(
    model="{target.model}", messages=[{{"role": "user", "content": "Hello"}}]
)
print(chat.choices[0].message.content)"""
    environment = sdks.environment(target)
    return Setup(
        (Piece("In Python (pip install openai)", snippet), exports(environment)),
        Launch(environment, without=sdks.OTHER_KEYS),
    )


CLIENT = Client(
    name="python",
    title="Python, OpenAI's SDK",
    model="openai/gpt-4o-mini",
    setup=_setup,
    program="python" if os.name == "nt" else "python3",
    install="Python from https://www.python.org/downloads/",
)
