"""`orgate demo`: a gateway in front of the sandbox, with everything needed to try it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli import options, running
from app.cli.client import DEMO
from app.cli.output import MISUSED, Failure, emit

_KEY = "sk-or-v1-" + "demo" * 16
_MODEL = "openai/gpt-4o-mini"
_OWN_SETTINGS = ("DEBUG", "LOG_LEVEL")


@click.command()
@options.port
@options.state_dir
@options.as_json
def command(port: str | None, state_dir: str | None, as_json: bool) -> None:
    """Run a gateway and a pretend OpenRouter together: no key, no network, no cost.

    \b
    Example:
      orgate demo
      orgate chat "Tell me a story." (in another terminal)

    With --json the first line of output is {"base_url": …, "pid": …, "token": …, "sandbox_url": …}.
    """
    from app.sandbox.server import Sandbox
    from app.settings import SettingsError, load

    folder = state_dir or str(_own_folder())
    with Sandbox() as sandbox:
        pretended = {"OPENROUTER_API_KEY": _KEY, "OPENROUTER_BASE_URL": sandbox.url}
        arguments = {**pretended, "ORGATE_STATE_DIR": folder}
        if port is not None:
            arguments["ORGATE_PORT"] = port
        # The demo never sees the owner's key, proxy or attribution: only what is orgate's own.
        own = {name: value for name, value in os.environ.items() if name in _OWN_SETTINGS or name.startswith("ORGATE_")}
        own.pop("ORGATE_PROXY", None)
        try:
            settings = load(arguments, environment=own, working_folder=Path(folder))
        except SettingsError as error:
            raise Failure(str(error), MISUSED) from None

        def ready(gateway: running.Ready) -> None:
            token = running.lasting_token(settings.folders.state / "demo.token", "demo", gateway.services)
            if as_json:
                told = {"base_url": gateway.base_url, "pid": os.getpid(), "token": token}
                emit({**told, "sandbox_url": sandbox.origin})
            else:
                click.echo(_welcome(gateway.base_url, token, sys.argv[0]))

        running.run(settings, on_ready=ready, demo=pretended)


def _own_folder() -> Path:
    return options.settings().folders.state / DEMO


def _welcome(base_url: str, token: str, orgate: str) -> str:
    bold = click.style
    return f"""
{bold("orgate demo", bold=True)}: a gateway in front of a pretend OpenRouter. Nothing here costs money.

  address  {base_url}/v1
  token    {token}

{bold("With curl:", bold=True)}

curl -N {base_url}/v1/chat/completions \\
  -H 'Authorization: Bearer {token}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{_MODEL}", "stream": true, "messages": [{{"role": "user", "content": "Tell me a story."}}]}}'

{bold("With the OpenAI SDK", bold=True)} (pip install openai):

from openai import OpenAI

client = OpenAI(base_url="{base_url}/v1", api_key="{token}")
chat = client.chat.completions.create(
    model="{_MODEL}", stream=True, messages=[{{"role": "user", "content": "Tell me a story."}}]
)
for chunk in chat:
    print(chunk.choices[0].delta.content or "", end="", flush=True)

{bold("In another terminal:", bold=True)}  {orgate} chat "Hello"  ·  {orgate} credits  ·  {orgate} doctor
Ctrl-C ends the demo.
"""
