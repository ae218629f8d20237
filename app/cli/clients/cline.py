"""Cline: fields of its settings page (docs.cline.bot, OpenAI Compatible)."""

from __future__ import annotations

from app.cli.clients.client import PATIENT, Client, Piece, Setup, Target


def _setup(target: Target) -> Setup:
    fields = f"""\
API Provider  OpenAI Compatible
Base URL      {target.openai}
API Key       {target.token}
Model ID      {target.model}"""
    return Setup((Piece("In Cline's settings, the gear of its panel", fields),))


CLIENT = Client(name="cline", title="Cline", model="anthropic/claude-sonnet-4.5", setup=_setup, wishes=PATIENT)
