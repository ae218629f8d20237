"""The kill switch: an app, or everybody, that may not call for now."""

from __future__ import annotations

from app.core.errors import GatewayError, Unavailable

EVERYBODY = "*"
"""Stands for all apps where one is named."""


def paused(app: str) -> GatewayError:
    """What a paused app is told; trying again does not help before the owner says so."""
    return Unavailable(f"Calls of {app} are paused. The owner resumes them with: orgate resume", code="paused")


def ended(app: str) -> GatewayError:
    """What a call is told that the owner has ended; the app may call again."""
    return Unavailable(f"The owner has ended this call of {app}.", code="ended")
