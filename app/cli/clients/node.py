"""JavaScript programs with the SDKs of OpenAI or Anthropic and the like."""

from __future__ import annotations

from app.cli.clients import sdks
from app.cli.clients.client import Client, Launch, Piece, Setup, Target, exports


def _setup(target: Target) -> Setup:
    snippet = f"""\
import OpenAI from 'openai';

const client = new OpenAI({{ baseURL: '{target.openai}', apiKey: '{target.token}' }});
const chat = await client.chat.completions.create({{
  model: '{target.model}',
  messages: [{{ role: 'user', content: 'Hello' }}],
}});
console.log(chat.choices[0].message.content);"""
    environment = sdks.environment(target)
    return Setup(
        (Piece("In JavaScript, an .mjs file (npm install openai)", snippet), exports(environment)),
        Launch(environment, without=sdks.OTHER_KEYS),
    )


CLIENT = Client(
    name="node",
    title="JavaScript, OpenAI's SDK",
    model="openai/gpt-4o-mini",
    setup=_setup,
    program="node",
    install="Node from https://nodejs.org/",
)
