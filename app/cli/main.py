"""`orgate`: the command line. Commands are imported when they are called, so that --help answers at once."""

from __future__ import annotations

import importlib
from typing import Any

import click

from app.cli.output import EXIT_CODES, Failure

_COMMANDS = {
    "demo": "Try it without a key: a gateway and a pretend OpenRouter.",
    "serve": "Run the gateway.",
    "key": "Keep the OpenRouter key.",
    "token": "Issue, list and revoke the tokens of programs.",
    "agent": "Make, list and check agents: presets of models, prompt and parameters.",
    "connect": "Print a program's configuration, with a token for it.",
    "run": "Start a program so that it uses the gateway.",
    "import": "Take over what a librechat.yaml says of OpenRouter.",
    "chat": "Ask a model and see the answer stream in.",
    "batch": "Answer many requests from a file.",
    "credits": "Show what is left on the account.",
    "usage": "Show what was spent, by day, program, model or agent.",
    "pause": "Stop a program, or all, from spending.",
    "resume": "Let it spend again.",
    "models": "List and search the models.",
    "explain": "Tell what became of a call, attempt by attempt.",
    "reconcile": "Compare the ledger with OpenRouter now.",
    "db": "Look after the ledger: check, copy, trim it.",
    "doctor": "Check everything and say what to do first.",
    "sandbox": "Run the pretend OpenRouter alone.",
}
"""Name → what it does; the module of the same name in this folder holds the command."""

_MODULES = {"import": "imports"}
"""A keyword cannot name a module."""


_EXPLAINED = {"Unavailable", "BadRequest", "NotFound", "SettingsError", "NoKey", "KeyringMissing"}
"""Errors of ours, by name: importing their classes would cost more than most commands do."""


class _Commands(click.Group):
    """Knows its commands by name; imports one only to run it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what is not its own to explain ends it with a sentence instead of a traceback."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            raise Failure(
                f"{error.strerror or type(error).__name__}{place}. Check the folder, or use --state-dir."
            ) from None
        except Exception as error:
            if type(error).__name__ not in _EXPLAINED:
                raise
            raise Failure(getattr(error, "message", None) or str(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = importlib.import_module(f"app.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orgate", message="%(prog)s %(version)s")
def cli() -> None:
    """Your own gateway to OpenRouter: one address and a token for every program, and true figures.

    \b
    Example:
      orgate demo
    """


def main() -> Any:  # whatever click's runner returns
    """The entry point of the `orgate` command."""
    return cli(prog_name="orgate")
